"""Recorded requests: curl commands, HAR files and Postman collections, read into one form.

The standard library reads all three: HAR and Postman collections are JSON, and ``shlex`` splits a command as the shell does.
uncurl knows half of curl's options and ignores the others, haralyzer only gives names to JSON's keys.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote_plus, urlsplit

from deployment.errors import Refused


@dataclass(frozen=True)
class Recorded:
    """One request as it was recorded, secrets included; its repr shows none.

    ``form`` holds the fields of a multipart form. ``status`` is None if no answer was recorded. ``left_out`` says why the
    request cannot become a check.
    """

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    text: str | None = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    status: int | None = None
    name: str | None = None
    left_out: str | None = None

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def basic(user: str, password: str) -> tuple[str, str]:
    """Return the header of HTTP Basic."""
    return "Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


# -- curl ------------------------------------------------------------------------------------------------------------------

_ANSI_C = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_ENDS = (";", "&&", "||", "|", "&")
_SHORT = {
    "-X": "--request",
    "-H": "--header",
    "-d": "--data",
    "-F": "--form",
    "-u": "--user",
    "-b": "--cookie",
    "-A": "--user-agent",
    "-e": "--referer",
    "-G": "--get",
    "-I": "--head",
    "-T": "--upload-file",
    "-o": "--output",
    "-m": "--max-time",
    "-w": "--write-out",
    "-x": "--proxy",
    "-c": "--cookie-jar",
    "-E": "--cert",
}
_IGNORED_VALUES = (
    "--output", "--max-time", "--connect-timeout", "--write-out", "--proxy", "--cookie-jar", "--cert", "--key", "--cacert",
    "--resolve", "--retry", "--retry-delay", "--user-agent", "--referer", "--max-redirs", "--limit-rate", "--ciphers",
)  # fmt: skip
_DATA = ("--data", "--data-raw", "--data-ascii", "--data-binary", "--data-urlencode", "--json")
_VALUES = (*_DATA, "--request", "--header", "--form", "--form-string", "--user", "--cookie", "--url", "--oauth2-bearer")


def from_curl(text: str) -> list[Recorded]:
    """Return the requests of all curl commands in a text. Raises Refused without quoting it."""
    plain = _ANSI_C.sub(lambda found: shlex.quote(_ESCAPE.sub(_unescape, found[1])), text).replace("\\\r\n", "\\\n")
    try:
        words = shlex.split(plain, comments=True)
    except ValueError as error:
        raise Refused(
            f"the commands cannot be read: {error}", hint="Copy each command whole, with its quotes."
        ) from None
    commands: list[list[str]] = []
    reading = False
    for position, word in enumerate(words):
        if word == "curl" and (not commands or not _takes_value(words[position - 1])):
            commands.append([])
            reading = True
        elif word in _ENDS:
            reading = False
        elif reading:
            commands[-1].append(word.removesuffix(";") if word.endswith(";") and "://" in word else word)
    if not commands:
        raise Refused("there is no curl command", hint="Each one begins with the word curl.")
    return [_curl(command, number) for number, command in enumerate(commands, 1)]


def _unescape(found: re.Match[str]) -> str:
    escape = found[1]
    if len(escape) > 1:
        return chr(int(escape[1:], 16))
    return _ESCAPED.get(escape, escape)


def _takes_value(word: str) -> bool:
    return _SHORT.get(word, word) in (*_VALUES, *_IGNORED_VALUES, "--upload-file")


def _options(words: Sequence[str], number: int) -> Iterator[tuple[str, str]]:
    """Yield each option by its long name, with its value (empty: it has none); ``--url`` for an address."""
    rest = iter(words)
    for word in rest:
        name, value = word, None
        if word.startswith("-") and not word.startswith("--") and len(word) > 1:
            name = _SHORT.get(word[:2], word[:2])
            if _takes_value(name):
                value = word[2:] or None
            else:  # several flags in one word: -sSL, -sX POST
                last = _SHORT.get(f"-{word[-1]}", f"-{word[-1]}")
                if "I" in word:
                    yield "--head", ""
                if "G" in word:
                    yield "--get", ""
                if len(word) == 2 or not _takes_value(last):
                    continue
                name = last
        elif not word.startswith("-"):
            yield "--url", word
            continue
        if _takes_value(name):
            value = next(rest, None) if value is None else value
            if value is None:
                raise Refused(f"command {number}: {name} has no value")
            yield name, value
        else:
            yield name, ""


def _curl(words: Sequence[str], number: int) -> Recorded:
    given: dict[str, list[str]] = {}
    for name, value in _options(words, number):
        given.setdefault(name, []).append(value)
    urls = given.get("--url", [])
    if len(urls) != 1:
        raise Refused(f"command {number} has {len(urls)} addresses, expected 1", hint="Put each address in quotes.")
    headers = [_pair(header, ":") for header in given.get("--header", [])]
    headers += [basic(*_pair(user, ":")) for user in given.get("--user", [])]
    headers += [("Authorization", f"Bearer {token}") for token in given.get("--oauth2-bearer", [])]
    headers += [("Cookie", cookie) for cookie in given.get("--cookie", []) if "=" in cookie]
    if "--json" in given:
        headers += [("Content-Type", "application/json"), ("Accept", "application/json")]
    pieces = [_piece(name, value) for name in _DATA for value in given.get(name, [])]
    form = [_pair(field_, "=") for name in ("--form", "--form-string") for field_ in given.get(name, [])]
    text = ("" if "--json" in given else "&").join(pieces) if pieces else None
    url = urls[0] if "://" in urls[0] else f"http://{urls[0]}"
    if "--get" in given and text is not None:
        url, text = f"{url}{'&' if '?' in url else '?'}{text}", None
    if text is not None and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    method = given.get("--request", ["HEAD" if "--head" in given else "GET" if text is None and not form else "POST"])[
        -1
    ]
    files = "--upload-file" in given or any(value.startswith(("@", "<")) for _, value in form)
    files = files or any(
        value.startswith("@") for name in _DATA if name != "--data-raw" for value in given.get(name, [])
    )
    why = "it sends a file: copy the file beside the checks and write `file` or `multipart`" if files else None
    return Recorded(method.upper(), url, tuple(headers), text, tuple(form), left_out=why)


def _piece(name: str, value: str) -> str:
    if name != "--data-urlencode":
        return value
    key, equals, text = value.partition("=")
    return f"{key}={quote_plus(text)}" if equals and key else quote_plus(text or key)


def _pair(text: str, between: str) -> tuple[str, str]:
    name, _, value = text.partition(between)
    return name.strip(), value.strip() if between == ":" else value


# -- HAR -------------------------------------------------------------------------------------------------------------------

_STATIC = re.compile(r"image/|font/|text/css|javascript|video/|audio/|application/font|wasm")


_EXPORTS = {
    "HAR": "Export it from the browser's network tools.",
    "a Postman collection": "Export it from Postman as Collection v2.1.",
}


def from_har(text: str) -> list[Recorded]:
    """Return the requests of a HAR file without those for pictures, styles and scripts. Raises Refused."""
    document = _json(text, "HAR")
    try:
        return [_entry(one) for one in document["log"]["entries"] if not _STATIC.search(_type_of(one))]
    except (LookupError, TypeError, AttributeError):
        raise Refused(
            "this is not a HAR file: log.entries is missing or malformed",
            hint=_EXPORTS["HAR"],
        ) from None


def _type_of(entry: Mapping[str, Any]) -> str:
    return str(entry.get("response", {}).get("content", {}).get("mimeType", ""))


def _entry(entry: Mapping[str, Any]) -> Recorded:
    request, posted = entry["request"], entry["request"].get("postData") or {}
    status = int(entry.get("response", {}).get("status") or 0)
    kind = str(posted.get("mimeType", ""))
    params = [] if posted.get("text") else posted.get("params") or []
    made = Recorded(
        str(request["method"]).upper(),
        str(request["url"]),
        tuple((str(one["name"]), str(one["value"])) for one in request.get("headers", ())),
        posted.get("text") or None,
        tuple((str(one["name"]), str(one.get("value", ""))) for one in params),
        status or None,
        left_out=None if status else "no answer was recorded",
    )
    if kind.startswith("multipart/") and (made.text or any("fileName" in one for one in params)):
        return replace(made, left_out="it sends a multipart form with a file: write `multipart` by hand")
    return _as_urlencoded(made) if kind.startswith("application/x-www-form-urlencoded") else made


def _as_urlencoded(made: Recorded) -> Recorded:
    if not made.form:
        return made
    text = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in made.form)
    return replace(made, text=text, form=())


# -- Postman ---------------------------------------------------------------------------------------------------------------

_VARIABLE = re.compile(r"\{\{([^{}]+)\}\}")


def from_postman(text: str) -> list[Recorded]:
    """Return the requests of a Postman collection, version 2. Variables without a value become ``${env.NAME}``. Raises Refused."""
    document = _json(text, "a Postman collection")
    try:
        known = {str(one["key"]): str(one.get("value", "")) for one in document.get("variable", ())}
        return list(_items(document["item"], document.get("auth"), known))
    except (LookupError, TypeError, AttributeError):
        raise Refused("this is not a Postman collection of version 2", hint="Export it as Collection v2.1.") from None


def _items(items: Sequence[Any], auth: Any, known: Mapping[str, str]) -> Iterator[Recorded]:
    for item in items:
        own = item.get("auth") or auth
        if "item" in item:
            yield from _items(item["item"], own, known)
        else:
            yield _item(item, own, known)


def _item(item: Mapping[str, Any], auth: Any, known: Mapping[str, str]) -> Recorded:
    def fill(value: Any) -> str:
        text = str("" if value is None else value)
        for _ in range(5):  # a variable's value may name another one
            text = _VARIABLE.sub(lambda hole: known[hole[1]] if hole[1] in known else hole[0], text)
        return text

    raw = item["request"] if isinstance(item["request"], Mapping) else {"url": item["request"]}
    url = raw["url"] if isinstance(raw["url"], str) else raw["url"]["raw"]
    body = raw.get("body") or {}
    mode = body.get("mode")
    headers = [(fill(one["key"]), fill(one.get("value"))) for one in _enabled(raw.get("header"))]
    headers += _auth(raw.get("auth") or auth, fill)
    fields = tuple(
        (fill(one["key"]), fill(one.get("value"))) for one in _enabled(body.get(mode)) if one.get("type") != "file"
    )
    answers = item.get("response") or []
    status = answers[0].get("code") if answers else None
    text = fill(body.get("raw")) if mode == "raw" and body.get("raw") else None
    if text is not None and not any(name.lower() == "content-type" for name, _ in headers):
        language = body.get("options", {}).get("raw", {}).get("language", "text")
        headers.append(("Content-Type", "application/json" if language == "json" else "text/plain"))
    if mode == "graphql":
        text, headers = (
            json.dumps({key: fill(one) for key, one in body["graphql"].items()}),
            [*headers, ("Content-Type", "application/json")],
        )
    files = mode == "file" or any(one.get("type") == "file" for one in _enabled(body.get("formdata")))
    why = "it sends a file: copy the file beside the checks and write `file` or `multipart`" if files else None
    made = Recorded(
        str(raw.get("method", "GET")).upper(),
        fill(url),
        tuple(headers),
        text,
        fields if mode in ("urlencoded", "formdata") else (),
        status,
        item.get("name"),
        why,
    )
    if mode != "urlencoded":
        return made
    return _as_urlencoded(replace(made, headers=(*headers, ("Content-Type", "application/x-www-form-urlencoded"))))


def _enabled(values: Any) -> list[Mapping[str, Any]]:
    return (
        [one for one in values or () if isinstance(one, Mapping) and not one.get("disabled")]
        if isinstance(values, list)
        else []
    )


def _auth(auth: Any, fill: Callable[[Any], str]) -> list[tuple[str, str]]:
    kind = (auth or {}).get("type", "noauth")
    values = {one["key"]: fill(one.get("value")) for one in _enabled((auth or {}).get(kind))}
    match kind:
        case "basic":
            return [basic(values.get("username", ""), values.get("password", ""))]
        case "apikey" if values.get("in") != "query":
            return [(values.get("key", "X-Api-Key"), values.get("value", ""))]
        case "noauth":
            return []
    return [("Authorization", f"Bearer {values.get('token') or values.get('accessToken', '')}")]


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        hint = "`import curl` reads curl commands." if text.lstrip().startswith("curl ") else _EXPORTS[what]
        # Without the cause, which would carry the whole text.
        raise Refused(f"this is not {what}: the file is not JSON", hint=hint) from None


def origin(url: str) -> str:
    """Return scheme, host and port of an address; a Postman variable at its begin stands for them."""
    found = _VARIABLE.match(url)
    if found:
        return found[0]
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
