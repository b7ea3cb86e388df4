"""CloudFront's functions, run in V8 with a stand-in for CloudFront's own module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from py_mini_racer import MiniRacer

from tests.terraform.stub.core import TREE

FUNCTIONS = TREE / "modules" / "front-door" / "functions"
REQUEST, RESPONSE = FUNCTIONS / "viewer-request.js", FUNCTIONS / "viewer-response.js"
LAST_KNOWN = {"colour": "blue", "host": "last.known.example", "generation": "0", "split": False}

# As in CloudFront, `get` is a promise that fails for a missing key, and a function cannot write Host. Math.random returns the
# test's number.
_STAND_IN = """
const asked = [], moved = [];
const cf = {
    kvs: function () {
        return { get: async function (key) {
            asked.push(key);
            if (given.silent || !Object.prototype.hasOwnProperty.call(given.keys, key)) { throw new Error('KeyNotFound'); }
            return given.keys[key];
        } };
    },
    updateRequestOrigin: function (origin) { moved.push(origin); },
};
Math.random = function () { return given.draw; };
"""
_RUN = """
let outcome = null;
Object.defineProperty(given.event.request.headers, 'host', { writable: false, configurable: false });
Promise.resolve().then(function () { return handler(given.event); })
    .then(function (answer) { outcome = { answer: answer, moved: moved, asked: asked }; })
    .catch(function (error) { outcome = { error: String(error) }; });
"""


def source(path: Path) -> str:
    """Return a function's code as Terraform passes it to CloudFront."""
    return path.read_text(encoding="utf-8").replace("${last_known}", json.dumps(LAST_KNOWN, separators=(",", ":")))


def run(
    path: Path, event: Mapping[str, Any], keys: Mapping[str, str], *, draw: float = 0.0, silent: bool = False
) -> Mapping[str, Any]:
    """Run a function on an event; return its ``answer``, the origins that it set (``moved``) and the keys that it read (``asked``)."""
    code = source(path).replace("import cf from 'cloudfront';", "")
    given = {"keys": dict(keys), "event": event, "draw": draw, "silent": silent}
    engine = MiniRacer()
    engine.eval(f"const given = {json.dumps(given)};")
    engine.eval("'use strict';" + _STAND_IN + code + _RUN)
    outcome: Mapping[str, Any] = json.loads(str(engine.eval("JSON.stringify(outcome)")))
    assert "error" not in outcome, outcome
    return outcome


def request(cookie: str | None = None, **headers: str) -> Mapping[str, Any]:
    """Return a viewer's request as CloudFront passes it to a function."""
    named = {"host": "api.telehealth.com", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return {
        "version": "1.0",
        "context": {"eventType": "viewer-request", "requestId": "1"},
        "viewer": {"ip": "198.51.100.1"},
        "request": {
            "method": "GET",
            "uri": "/health",
            "querystring": {},
            "headers": {name: {"value": value} for name, value in named.items()},
            "cookies": {"bg_track": {"value": cookie}} if cookie is not None else {},
        },
    }
