"""The draft of a session: how a user signs in, from a security scheme of an OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from scripts.drafts.document import FORM, JSON, Document, Operation
from scripts.drafts.values import Body, scalars

_LOGIN = re.compile(r"log-?_?in|sign-?_?in|token|session|authenticate", re.IGNORECASE)
_NOT_LOGIN = re.compile(r"refresh|revoke|reset|verify|log-?_?out|sign-?_?out", re.IGNORECASE)
_LOGOUT = re.compile(r"log-?_?out|sign-?_?out|revoke", re.IGNORECASE)
_USER = re.compile(r"user|e-?mail|login|account", re.IGNORECASE)
_PASSWORD = re.compile(r"pass|secret", re.IGNORECASE)
_TOKEN = ("access_token", "accessToken", "token", "id_token", "jwt")
_LIFETIME = ("expires_in", "expiresIn")


@dataclass(frozen=True)
class DraftedSession:
    """A session as the description has it, None if there is none to draft; ``unknown`` needs a person."""

    session: Mapping[str, Any] | None
    unknown: list[str] = field(default_factory=list)


def session_of(document: Document, name: str, scheme: Mapping[str, Any]) -> DraftedSession:
    """Return the draft for one security scheme."""
    kind, where = str(scheme.get("type", "")), f"sessions.{name}"
    if kind == "http" and str(scheme.get("scheme", "")).lower() == "basic":
        return DraftedSession({"kind": "basic"})
    if kind == "apiKey" and scheme.get("in") == "header":
        text = f"{where}: the key of header {scheme.get('name')}; the draft sends the smoke user's password"
        return DraftedSession({"kind": "api-key", "header": scheme.get("name"), "key": "${account.password}"}, [text])
    if kind == "apiKey" and scheme.get("in") == "cookie":
        return _signed_in(document, "cookie", where)
    if kind == "http" and str(scheme.get("scheme", "")).lower() == "bearer":
        return _signed_in(document, "bearer", where)
    flows = scheme.get("flows", {}) if kind == "oauth2" else {}
    if isinstance(flow := flows.get("password"), Mapping):
        return DraftedSession({"kind": "bearer", "sign_in": _password_flow(document, str(flow.get("tokenUrl", "")))})
    if isinstance(flow := flows.get("clientCredentials"), Mapping):
        return _client_credentials(document, flow, where)
    kinds = (
        f"{kind} in the {scheme['in']}" if kind == "apiKey" else f"{kind} {'/'.join(scheme.get('flows', {}))}".strip()
    )
    return DraftedSession(None, [f"{where}: {kinds} cannot be drafted; see the framework's docs/any-service.md"])


def _client_credentials(document: Document, flow: Mapping[str, Any], where: str) -> DraftedSession:
    """Return the session of OAuth 2's client credentials; a relative address, or one of an operation, is a path of the service."""
    url = str(flow.get("tokenUrl", ""))
    parts = urlsplit(url)
    path = f"/{parts.path.lstrip('/')}"
    posts = [one.path for one in document.operations if one.method == "POST"]
    if parts.scheme in ("http", "https"):
        own = path if path in posts else None
    else:
        own = next((one for one in posts if one.endswith(path)), path)
    absolute = own is None
    session: dict[str, Any] = {"kind": "oauth2-client-credentials", "token_url": own or url}
    scopes = flow.get("scopes")
    if isinstance(scopes, Mapping) and scopes:
        session["scope"] = " ".join(map(str, scopes))
    unknown = [
        f"{where}: id and secret of a client go into the accounts' secret, as client_id and client_secret; "
        "the draft sends them as client_secret_basic and asks for every scope"
    ]
    if absolute and parts.scheme == "http":
        unknown.append(f"{where}: {url} must begin with https://")
        session["token_url"] = f"https{url[4:]}"
    return DraftedSession(session, unknown)


def _password_flow(document: Document, url: str) -> dict[str, Any]:
    """Return the sign-in of OAuth 2's password flow; the token's address is the operation that ends like it, or the URL's path."""
    path = f"/{urlsplit(url).path.lstrip('/')}"
    path = next((one.path for one in document.operations if one.method == "POST" and one.path.endswith(path)), path)
    form = {"grant_type": "password", "username": "${account.email}", "password": "${account.password}"}
    return {
        "request": {"method": "POST", "path": path, "form": form},
        "expect": {"status": 200},
        "token": "$.access_token",
    }


def _signed_in(document: Document, kind: str, where: str) -> DraftedSession:
    """Return a session that a request opens; a guess if no operation looks like one."""
    found = next((one for one in document.operations if _is(one, _LOGIN) and not _NOT_LOGIN.search(one.path)), None)
    unknown = []
    if found is None:
        unknown.append(f"{where}: the request that signs in; POST /login is a guess")
        fields = {"email": "${account.email}", "password": "${account.password}"}
        sign_in: dict[str, Any] = {"request": {"method": "POST", "path": "/login", "json": fields}}
    else:
        request = _request(document, found)
        if not {"json", "form"} & request.keys():
            unknown.append(f"{where}: how {found} learns who signs in; the document describes no body")
        sign_in = {"request": request, "expect": {"status": document.success(found)[0]}}
    if kind == "bearer":
        properties = document.answer_schema(found).get("properties", {}) if found is not None else {}
        token = next((one for one in _TOKEN if one in properties), None)
        if token is None and found is not None:
            unknown.append(f"{where}: where the token is in the answer to {found}; $.access_token is a guess")
        sign_in["token"] = f"$.{token or _TOKEN[0]}"
        lifetime = next((one for one in _LIFETIME if one in properties), None)
        sign_in |= {"expires_in": f"$.{lifetime}"} if lifetime is not None else {}
    session: dict[str, Any] = {"kind": kind, "sign_in": sign_in}
    out = next((one for one in document.operations if _is(one, _LOGOUT) and not one.variables), None)
    if out is not None:
        session["sign_out"] = {"request": f"POST {out.path}", "expect": {"status": document.success(out)[0]}}
    return DraftedSession(session, unknown)


def _is(operation: Operation, words: re.Pattern[str]) -> bool:
    return operation.method == "POST" and not operation.variables and words.search(operation.path) is not None


def _request(document: Document, operation: Operation) -> dict[str, Any]:
    """Return the request of a sign-in, with the account in the fields that look like a name and a password.

    It has no body if the document describes none, and a form without a field is none.
    """
    holder = document.resolve(operation.raw.get("requestBody", {}))
    kind = JSON if document.schema_of(holder, JSON) else FORM
    schema = document.schema_of(holder, kind)
    value = Body(document, schema).value if schema else {}
    fields = scalars(value) if kind == FORM else value if isinstance(value, dict) else {}
    for name in fields:
        if _PASSWORD.search(name):
            fields[name] = "${account.password}"
        elif _USER.search(name):
            fields[name] = "${account.email}"
    body = {"json" if kind == JSON else "form": fields} if fields else {}
    return {"method": "POST", "path": operation.path, **body}
