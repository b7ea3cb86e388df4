"""Caddy's configuration where it stands for an Application Load Balancer: its listeners, on loopback.

Written once, like the edge's: each listener has so many slots for rules, each slot is a file that is read with each
request, and the endpoint replaces these files atomically. What a load balancer does not add to a request or to an answer,
this adds neither.
"""

from __future__ import annotations

from typing import Any

from infrastructure.embedded.aws.elbv2.routes import ENTRIES, SLOTS
from infrastructure.embedded.caddy.config import transport

Json = dict[str, Any]

LISTENER_FOLDER = "listeners"
AWSELB = "awselb/2.0"
"""What a load balancer calls itself in the answers that are its own."""

# `HOST[>OTHER] THRESHOLD ADDRESS …`: the host a name or `*`, OTHER what its targets are asked for, as many pairs as there are.
_LINE = r"^([^\s>]+)(?:>(\S+))?" + r"(?: (\S+) (\S+))?" * ENTRIES + "$"


def listener(port: int) -> Json:
    """The server of one listener."""
    slots = [_slot(port, number) for number in range(1, SLOTS + 1)]
    return {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        # A load balancer appends to the X-Forwarded-For that it gets.
        "trusted_proxies": {"source": "static", "ranges": ["127.0.0.1/32"]},
        "routes": [*slots, {"handle": [_answer("404", "no such listener\n", "text/plain")]}],
        "errors": {"routes": [{"handle": [_answer("{http.error.status_code}", "", "text/html")]}]},
    }


def _slot(port: int, number: int) -> Json:
    """One rule: if the host is its own, its response, or the target whose threshold is the first above the request's uuid."""
    file = f"{LISTENER_FOLDER}/{port}/{number}"
    read = {"handler": "vars", "rule": f"{{file.{file}}}"}
    names = [
        "alb_host",
        "alb_as",
        *(f"alb_{kind}{entry}" for entry in range(1, ENTRIES + 1) for kind in ("below", "to")),
    ]
    fields = {
        "handler": "map",
        "source": "{http.vars.rule}",
        "destinations": [f"{{{name}}}" for name in names],
        "mappings": [{"input_regexp": _LINE, "outputs": [f"${{{index}}}" for index in range(1, len(names) + 1)]}],
        "defaults": [""] * len(names),
    }
    picks = [
        {
            "group": f"pick-{port}-{number}",
            "match": [{"expression": f"{{alb_below{entry}}} != '' && {{http.request.uuid}} < {{alb_below{entry}}}"}],
            "handle": [{"handler": "vars", "target": f"{{alb_to{entry}}}"}],
        }
        for entry in range(1, ENTRIES + 1)
    ]
    status = {
        "handler": "map",
        "source": "{http.vars.target}",
        "destinations": ["{alb_status}"],
        "mappings": [{"input_regexp": r"^=(\d+)$", "outputs": ["${1}"]}],
        "defaults": [""],
    }
    # No file beside the line: the placeholder is empty then, and so is the answer's body.
    fixed = _answer("{alb_status}", f"{{file.{file}.body}}", f"{{file.{file}.type}}")
    rule = [
        *picks,
        {"handle": [status]},
        {"match": [{"expression": "{alb_status} != ''"}], "terminal": True, "handle": [fixed]},
        {"handle": [{"handler": "vars", "as": "{http.request.hostport}"}]},
        {"match": [{"expression": "{alb_as} != ''"}], "handle": [{"handler": "vars", "as": "{alb_as}"}]},
        {"handle": [{"handler": "headers", "response": {"deferred": True, "delete": ["Via"]}}, _to_target(port)]},
    ]
    own = {
        "match": [{"expression": "{alb_host} == '*' || {alb_host} == {http.request.host}"}],
        "terminal": True,
        "handle": [{"handler": "subroute", "routes": rule}],
    }
    return {"handle": [{"handler": "subroute", "routes": [{"handle": [read]}, {"handle": [fields]}, own]}]}


def _to_target(port: int) -> Json:
    request = {
        "set": {"Host": ["{http.vars.as}"], "X-Forwarded-Proto": ["http"], "X-Forwarded-Port": [str(port)]},
        "delete": ["X-Forwarded-Host", "Via"],
    }
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{http.vars.target}"}],
        "transport": transport(),
        "headers": {"request": request},
    }


def _answer(status: str, body: str, content_type: str) -> Json:
    headers = {"Content-Type": [content_type], "Server": [AWSELB]}
    return {"handler": "static_response", "status_code": status, "headers": headers, "body": body}
