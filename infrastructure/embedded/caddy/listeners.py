"""Caddy's configuration as an Application Load Balancer: its listeners, on loopback.

It is written once, like the edge's. Each listener has a fixed number of slots for rules. Each slot is a file that Caddy
reads for each request and the endpoint replaces atomically. Caddy adds nothing to a request or an answer that a load
balancer does not add.
"""

from __future__ import annotations

from typing import Any

from infrastructure.embedded.aws.elbv2.routes import ENTRIES, SLOTS
from infrastructure.embedded.caddy.config import transport

Json = dict[str, Any]

LISTENER_FOLDER = "listeners"
AWSELB = "awselb/2.0"
"""The Server header of the answers that a load balancer gives itself."""

# `HOST[>OTHER] THRESHOLD ADDRESS …`: HOST is a name or `*`, OTHER the host that targets receive; one pair per target.
_LINE = r"^([^\s>]+)(?:>(\S+))?" + r"(?: (\S+) (\S+))?" * ENTRIES + "$"


def listener(port: int) -> Json:
    """Return the server of one listener."""
    slots = [_slot(port, number) for number in range(1, SLOTS + 1)]
    return {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "protocols": ["h1"],
        # A load balancer appends to the X-Forwarded-For header that it receives.
        "trusted_proxies": {"source": "static", "ranges": ["127.0.0.1/32"]},
        "routes": [*slots, {"handle": [_answer("404", "no such listener\n", "text/plain")]}],
        "errors": {"routes": [{"handle": [_answer("{http.error.status_code}", "", "text/html")]}]},
    }


def _slot(port: int, number: int) -> Json:
    """Return the route of one rule.

    If the rule is for the request's host, Caddy gives the rule's fixed response, or forwards to the first target whose
    threshold is above the request's uuid.
    """
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
    # Without a file beside the line, the placeholder and therefore the answer's body are empty.
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
