"""The forms that a known secret has in a text: as it is written in URLs, JSON, HTML, shell commands and Python, and encoded."""

from __future__ import annotations

import base64
import html
import json
import re
from itertools import product
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import quoteattr

# Lines of a multi-line secret, such as a key; shorter lines are only its frame.
_LONG = 20
SAFE_IN_A_PATH = "/%:@!$&'()*+,;=~-._?#"
"""The characters that the path of a journey's or a check's request keeps; all others but letters and digits are encoded."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
# What different writers of URLs keep: Python's quote with and without the slash, the framework's paths, httpx's paths and
# queries, and httpx's form of the framework's paths.
_SAFE_IN_URLS = (
    "/",
    "",
    SAFE_IN_A_PATH,
    re.sub('["#<>?`{}]', "", _PRINTABLE),
    re.sub('["#<>]', "", _PRINTABLE),
    re.sub("[?#]", "", SAFE_IN_A_PATH),
)


def spellings(secret: str) -> set[str]:
    """Return the secret as it is written in a text, a URL, a JSON or HTML document, a shell command, and a Python literal."""
    urls = {quote_plus(secret), *(quote(secret, safe=safe) for safe in _SAFE_IN_URLS)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), url) for url in urls}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    twice = {json.dumps(form)[1:-1] for form in escaped}
    pages = {page for form in (secret, *escaped) for page in _in_a_page(form)}
    other = {
        form for characters, made in _OTHER_ESCAPES for one in escaped for form in (_escaped(one, characters, made),)
    }
    again = {quote(url, safe="") for url in (*urls, *lower, *escaped)}
    commands = {command for form in (secret, *escaped) for command in _in_a_command(form)}
    shown = {form for command in commands for form in (json.dumps(command)[1:-1], *_in_a_page(command))}
    commands |= {command for url in (*urls, *lower) for command in _in_a_command(url)}
    others = {*again, *twice, *other, *pages, *commands, *shown, repr(secret.encode())[2:-1]}
    return {secret, *urls, *lower, *escaped, *others}


# Characters that other languages' writers of JSON and HTML escape, although they need not, and how: PHP, Go, Gson, .NET, Go's HTML.
_OTHER_ESCAPES: tuple[tuple[str, str], ...] = (
    ("/", "\\/"),
    ("<>&", "\\u{:04x}"),
    ("<>&='", "\\u{:04x}"),
    ("<>&'+`", "\\u{:04X}"),
    ("<>&'\"+", "&#{};"),
)


def _escaped(text: str, characters: str, made: str) -> str:
    return "".join(made.format(ord(one)) if one in characters else one for one in text)


def _in_a_page(text: str) -> set[str]:
    """Return the text as Python, the template engine and the XML library escape it."""
    templates = html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")
    attribute = html.escape(text, quote=False).replace('"', "&quot;")
    return {html.escape(text), html.escape(text, quote=False), templates, attribute, quoteattr(text)[1:-1]}


def _in_a_command(text: str) -> set[str]:
    """Return the text as an argument of a shell command has it: in single quotes, and in double quotes."""
    return {text.replace("'", "'\"'\"'"), re.sub(r'[\\"`$]', r"\\\g<0>", text)}


def parts(secret: str) -> set[str]:
    """Return the secret, and the longer lines of a secret with several lines: output is cleaned line by line."""
    lines = [line.strip() for line in secret.splitlines()]
    return {
        part for part in (secret, *(line for line in lines if len(lines) > 1 and len(line) > _LONG)) if part.strip()
    }


def encodings(secret: str) -> set[str]:
    """Return the spellings, hex as programs write it, and base64 at each of the three offsets that the secret can have in a
    longer text ("user:password").
    """
    forms = spellings(secret)
    raw = secret.encode()
    escaped = ("".join(f"\\x{one:{digits}}" for one in raw) for digits in ("02x", "02X"))
    listed = (", ".join(f"0x{one:{digits}}" for one in raw) for digits in ("02x", "02X"))
    forms |= {*escaped, *listed}
    for digits in (raw.hex(), *(raw.hex(sign) for sign in ":- "), raw.hex(" ", -2)):  # the last one as xxd groups bytes
        forms |= {digits, digits.upper()}
    for inner, offset in product(_nested(secret), range(3)):
        padded = b"\0" * offset + inner.encode()
        first = -(-offset * 8 // 6)  # earlier characters hold bits of the text before the secret
        whole = len(padded) * 8 // 6  # later characters hold bits of the text after it
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(padded).decode()[first:whole])
    return forms


def _nested(secret: str) -> set[str]:
    """Return the forms that the secret has in a text that is encoded in base64 as a whole: in JSON, a form or a URL."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
        quote_plus(secret),
    }
