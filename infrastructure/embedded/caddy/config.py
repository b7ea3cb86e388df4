"""Caddy's configuration, written once: afterwards only the files change that it reads with each request.

A reload would cut kept connections; a file that is replaced atomically cuts none. All paths are relative to Caddy's
working folder, so that no character of the state folder's name means anything to Caddy.
"""

from __future__ import annotations

from typing import Any

from infrastructure.embedded.layout import Ports

LIVE_HOST = "api.telehealth.localhost"
COOKIE = "bg_track"
ROUTE_FILE = "edge/route"
INGRESS_FOLDER = "ingress"
UPSTREAM_IDLE = "30s"
"""Shorter than the 75 s after which the service closes an idle connection: who closes last loses a request."""

Json = dict[str, Any]

_ROUTE = r"^(\d+) (blue|green) (\S+) (blue|green|-) (\S+) ([0-9a-f]+|g)$"
"""`<generation> <primary> <primary host> <secondary> <secondary host> <threshold>`; anything else is no route (503)."""
_FIELDS = ("generation", "primary", "primary_host", "secondary", "secondary_host", "threshold")

# The expressions are CEL; the uuid is one per request, hexadecimal, and compared as text with the threshold.
_SPLIT = "{bg_secondary} != '-' && {bg_threshold} != '0' && {bg_threshold} != 'g'"
_ALL = "{bg_secondary} != '-' && {bg_threshold} == 'g'"
_PIN = "{http.request.cookie." + COOKIE + "}"
_PINNED_PRIMARY = f"{_PIN} == {{bg_generation}} + '-' + {{bg_primary}}"
_PINNED_SECONDARY = f"{_PIN} == {{bg_generation}} + '-' + {{bg_secondary}}"
_DRAWN = f"(!({_PINNED_PRIMARY}) && {{http.request.uuid}} < {{bg_threshold}})"


def cloudfront(ports: Ports) -> Json:
    """Two servers: the edge (CloudFront and its function) and the ingress (App Runner's front)."""
    servers = {"edge": _server(ports.edge, _edge(ports.ingress)), "ingress": _server(ports.ingress, _ingress())}
    # The edge names the viewer's host; without this trust the ingress would put the colour's own in its place.
    servers["ingress"]["trusted_proxies"] = {"source": "static", "ranges": ["127.0.0.1/32"]}
    return servers


def config(servers: Json) -> Json:
    """One process for all servers."""
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "apps": {"http": {"servers": servers}},
    }


def _server(port: int, routes: list[Json]) -> Json:
    return {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        "routes": routes,
    }


def _edge(ingress_port: int) -> list[Json]:
    secondary = f"({_SPLIT}) && ({_PINNED_SECONDARY} || {_DRAWN}) || ({_ALL})"
    routes = [
        {"handle": [{"handler": "vars", "route": f"{{file.{ROUTE_FILE}}}"}]},
        {"handle": [_fields()]},
        _when("{bg_generation} == ''", _text(503, "no route: the edge does not know the live colour\n")),
        _when(_SPLIT, _subroute(_pin("secondary", f"{_PINNED_SECONDARY} || {_DRAWN}"), _pin("primary", "true"))),
        _when(secondary, _to_colour("secondary", ingress_port)),
        {"handle": [_to_colour("primary", ingress_port)]},
    ]
    # A subroute, because an expression beside a host matcher is evaluated for other hosts too.
    live = {"match": [{"host": [LIVE_HOST]}], "terminal": True, "handle": [_subroute(*routes)]}
    return [live, {"handle": [_text(404, "no such host\n")]}]


def _fields() -> Json:
    outputs: list[str] = [f"${{{number}}}" for number in range(1, len(_FIELDS) + 1)]
    return {
        "handler": "map",
        "source": "{http.vars.route}",
        "destinations": [f"{{bg_{name}}}" for name in _FIELDS],
        "mappings": [{"input_regexp": _ROUTE, "outputs": outputs}],
        "defaults": [""] * len(_FIELDS),
    }


def _pin(side: str, expression: str) -> Json:
    """Keeps a viewer on a side as long as this generation's split lasts."""
    value = f"{COOKIE}={{bg_generation}}-{{bg_{side}}}; Path=/; HttpOnly; SameSite=Lax"
    return _when(expression, {"handler": "headers", "response": {"deferred": True, "add": {"Set-Cookie": [value]}}})


def _to_colour(side: str, ingress_port: int) -> Json:
    request = {"Host": [f"{{bg_{side}_host}}"], "X-Forwarded-Host": ["{http.request.hostport}"]}
    response = {"x-bg-color": [f"{{bg_{side}}}"], "x-bg-generation": ["{bg_generation}"]}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{ingress_port}"}],
        "transport": transport(),
        "headers": {"request": {"set": request}, "response": {"set": response}},
    }


def _ingress() -> list[Json]:
    pattern = "/{http.request.host}/127.0.0.1:*"
    # Caddy lists the folder and then looks at the file: where a rename falls between the two, the next try finds it.
    known = {"file": {"root": INGRESS_FOLDER, "try_files": [pattern] * 5}}
    dial = {
        "handler": "map",
        "source": "{http.matchers.file.relative}",
        "destinations": ["{instance}"],
        "mappings": [{"input_regexp": ".*/([^/]+)$", "outputs": ["${1}"]}],
    }
    proxy = {"handler": "reverse_proxy", "upstreams": [{"dial": "{instance}"}], "transport": transport()}
    return [
        {"match": [known], "terminal": True, "handle": [dial, proxy]},
        {"handle": [_text(404, "no such service\n")]},
    ]


def transport() -> Json:
    """How a colour is asked: over kept connections, which this side closes first."""
    return {"protocol": "http", "keep_alive": {"enabled": True, "idle_timeout": UPSTREAM_IDLE}, "compression": False}


def _when(expression: str, handler: Json) -> Json:
    return {"match": [{"expression": expression}], "terminal": False, "handle": [handler]}


def _subroute(*routes: Json) -> Json:
    return {"handler": "subroute", "routes": list(routes)}


def _text(status: int, body: str) -> Json:
    headers = {"Content-Type": ["text/plain; charset=utf-8"], "Cache-Control": ["no-store"]}
    return {"handler": "static_response", "status_code": status, "headers": headers, "body": body}
