"""Caddy's configuration as edge and ingress, written once; later only the files change that Caddy reads per request.

A reload would cut kept connections; an atomic replacement of a file cuts none. All paths are relative to Caddy's
working folder, so that Caddy never interprets a special character in the state folder's name.
"""

from __future__ import annotations

from typing import Any

from infrastructure.embedded.layout import Ports

COOKIE = "bg_track"
ROUTE_FILE = "edge/route"
INGRESS_FOLDER = "ingress"
UPSTREAM_IDLE = "30s"
"""Shorter than the 75 s after which the service closes an idle connection: if it closed first, a request could fail."""

Json = dict[str, Any]

_ROUTE = r"^(\d+) (blue|green) (\S+) (blue|green|-) (\S+) ([0-9a-f]+|g)$"
"""`<generation> <primary> <primary host> <secondary> <secondary host> <threshold>`; any other line gives 503."""
_FIELDS = ("generation", "primary", "primary_host", "secondary", "secondary_host", "threshold")

# The expressions are CEL. Each request has its own uuid, which is hexadecimal and compared with the threshold as text.
_SPLIT = "{bg_secondary} != '-' && {bg_threshold} != '0' && {bg_threshold} != 'g'"
_ALL = "{bg_secondary} != '-' && {bg_threshold} == 'g'"
_PIN = "{http.request.cookie." + COOKIE + "}"
_PINNED_PRIMARY = f"{_PIN} == {{bg_generation}} + '-' + {{bg_primary}}"
_PINNED_SECONDARY = f"{_PIN} == {{bg_generation}} + '-' + {{bg_secondary}}"
_DRAWN = f"(!({_PINNED_PRIMARY}) && {{http.request.uuid}} < {{bg_threshold}})"


def cloudfront(ports: Ports, live_host: str) -> Json:
    """Return two servers: the edge (CloudFront and its function) and the ingress (App Runner's)."""
    servers = {
        "edge": _server(ports.edge, _edge(ports.ingress, live_host)),
        "ingress": _server(ports.ingress, _ingress()),
    }
    # The edge sends the viewer's host in X-Forwarded-Host; without this trust the ingress would overwrite it.
    servers["ingress"]["trusted_proxies"] = {"source": "static", "ranges": ["127.0.0.1/32"]}
    return servers


def config(servers: Json) -> Json:
    """Return the configuration of one Caddy process for all servers."""
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


def _edge(ingress_port: int, live_host: str) -> list[Json]:
    secondary = f"({_SPLIT}) && ({_PINNED_SECONDARY} || {_DRAWN}) || ({_ALL})"
    routes = [
        {"handle": [{"handler": "vars", "route": f"{{file.{ROUTE_FILE}}}"}]},
        {"handle": [_fields()]},
        _when("{bg_generation} == ''", _text(503, "no route: the edge does not know the live colour\n")),
        _when(_SPLIT, _subroute(_pin("secondary", f"{_PINNED_SECONDARY} || {_DRAWN}"), _pin("primary", "true"))),
        _when(secondary, _to_colour("secondary", ingress_port)),
        {"handle": [_to_colour("primary", ingress_port)]},
    ]
    # A subroute, because Caddy evaluates an expression beside a host matcher for other hosts too.
    live = {"match": [{"host": [live_host]}], "terminal": True, "handle": [_subroute(*routes)]}
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
    """Set the cookie that keeps a viewer on one side of the split for the duration of this generation."""
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
    # Caddy lists the folder, then opens the file; if a switch falls between the two, the next try finds the new file.
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
    """Return the transport to a colour: kept connections, which Caddy closes before the service does."""
    return {"protocol": "http", "keep_alive": {"enabled": True, "idle_timeout": UPSTREAM_IDLE}, "compression": False}


def _when(expression: str, handler: Json) -> Json:
    return {"match": [{"expression": expression}], "terminal": False, "handle": [handler]}


def _subroute(*routes: Json) -> Json:
    return {"handler": "subroute", "routes": list(routes)}


def _text(status: int, body: str) -> Json:
    headers = {"Content-Type": ["text/plain; charset=utf-8"], "Cache-Control": ["no-store"]}
    return {"handler": "static_response", "status_code": status, "headers": headers, "body": body}
