"""The keys of a session: those of an issuer of tokens (OAuth 2, Cognito), and the placeholders in all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from verification.declarative.placeholder_rules import Text, malformed
from verification.journeys.model import COGNITO, OAUTH2, Issuer
from verification.journeys.placeholders import holes, variable

_ACCOUNT = ("account.email", "account.password")
_FILLED = ("client_id", "client_secret", "username", "password", "key", "scope")
_NAMES = ("account", "secret", "env")


def issuer_of(raw: Mapping[str, Any]) -> Issuer | None:
    """Return the issuer that a session describes, None for a session of another kind."""
    match raw["kind"]:
        case "oauth2-client-credentials":
            return Issuer(
                raw["token_url"],
                raw.get("client_id", "${account.email}"),
                raw.get("client_secret", "${account.password}"),
                raw.get("authentication", "client_secret_basic"),
                raw.get("scope"),
            )
        case "cognito":
            url = raw.get("endpoint") or f"https://cognito-idp.{raw['region']}.amazonaws.com/"
            return Issuer(url, raw["client_id"], raw.get("client_secret"), "none", use=raw.get("use", "access"))
    return None


def issuer_mistakes(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with these keys of a session: the path from it, and a sentence."""
    kind = raw["kind"]
    if kind not in (OAUTH2, COGNITO):
        return
    if kind == OAUTH2 and "token_url" not in raw:
        yield (), f"a session of kind {kind} needs token_url: an absolute URL, or a path of the service"
    if kind == COGNITO and "client_id" not in raw:
        yield (), f"a session of kind {kind} needs client_id: the app client of the user pool"
    if kind == COGNITO and ("region" in raw) == ("endpoint" in raw):
        yield (), f"a session of kind {kind} needs either region (eu-central-1) or endpoint (an address)"
    for key in ("token_url", "endpoint"):
        yield from (((key,), problem) for problem in _url_mistakes(raw.get(key, "")))
    for key in ("client_secret", "password"):
        if key in raw and not holes(raw[key]):
            yield (
                (key,),
                f"{key} must be a placeholder, such as ${{secret.NAME}}: a secret does not belong in this file",
            )


def filled_mistakes(raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the placeholders without a value in the keys of a session: the path from it, and a sentence."""
    for key in _FILLED:
        text = raw.get(key, "")
        for hole in holes(text):
            if hole not in _ACCOUNT and variable(hole) is None:
                yield (
                    (key,),
                    f"${{{hole}}} has no value here; here are ${{account.email}}, ${{account.password}}, ${{secret.NAME}} and ${{env.NAME}}",
                )
        for _, what in malformed([Text((), text)], _NAMES):
            yield (key,), what


def _url_mistakes(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme == "":
        return
    host = parts.hostname or ""
    if not host:
        yield f"{url} names no host"
    elif parts.scheme == "http" and host != "127.0.0.1" and host != "localhost" and not host.endswith(".localhost"):
        yield f"{url} must begin with https://: secrets are sent to it"
    if "@" in parts.netloc:
        yield "the URL must not hold a user name or a password"
