"""Takes secrets out of text that is to be shown or kept: known values in whatever encoding, and what has the shape of a secret."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
# A shorter secret is replaced as a whole word only; "abc" is part of too many words.
_SHORT = 6
_FIELDS = (
    "password|passwd|new_password|old_password|access_token|refresh_token|id_token|session_token|secret|client_secret|"
    "jwt_secret|api_key|secret_access_key|aws_secret_access_key|aws_session_token|secretaccesskey|sessiontoken"
)
_HEADERS = "authorization|proxy-authorization|set-cookie|cookie|x-api-key|x-amz-security-token"
# What stands for a secret in a command that is shown: "Bearer $TOKEN" is to stay readable.
_VARIABLE = r"(?:Bearer )?\$[A-Z_]+\b"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # JSON in JSON: \"password\": \"…\"
    (
        re.compile(rf'(\\+["\'](?:{_FIELDS})\\+["\']\s*:\s*\\+["\'])(?!{_VARIABLE})(?:(?!\\+["\']).)*', re.I),
        rf"\1{MARK}",
    ),
    # "password": "…", 'password': '…', password="…"; the last of a text that was cut off, too
    (re.compile(rf'(\b(?:{_FIELDS})["\']?\s*[:=]\s*b?")(?!{_VARIABLE})(?:[^"\\\r\n]|\\.)*', re.I), rf"\1{MARK}"),
    (re.compile(rf"(\b(?:{_FIELDS})[\"']?\s*[:=]\s*b?')(?!{_VARIABLE})(?:[^'\\\r\n]|\\.)*", re.I), rf"\1{MARK}"),
    # password=… of a form or a query
    (re.compile(rf"(\b(?:{_FIELDS})=)(?![\"'\[]|b[\"']|{_VARIABLE})[^\s&;,\"'<>)\]]+", re.I), rf"\1{MARK}"),
    # 'Authorization': 'Bearer …', (b'cookie', b'…')
    (re.compile(rf"(\b(?:{_HEADERS})[\"']\s*[:,]\s*b?\")(?!{_VARIABLE})(?:[^\"\\\r\n]|\\.)*", re.I), rf"\1{MARK}"),
    (re.compile(rf"(\b(?:{_HEADERS})[\"']\s*[:,]\s*b?')(?!{_VARIABLE})(?:[^'\\\r\n]|\\.)*", re.I), rf"\1{MARK}"),
    # Authorization: … of a header block, to the end of the line or of the quotes around it
    (re.compile(rf"(\b(?:{_HEADERS}):[ \t]*)(?![ \t\"']|{_VARIABLE})[^\r\n\"']+", re.I), rf"\1{MARK}"),
    (re.compile(r"\b(Bearer )(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*", re.I), rf"\1{MARK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), MARK),
    # user:password@ of a URL; the greedy part ends at the last @ before the path
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/@:\"'<>]*:)[^\s/\"'<>]+(?=@)", re.I), rf"\1{MARK}"),
)


class Redactor:
    """Knows some secrets, and the shapes that secrets have. ``clean`` twice is ``clean`` once."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if secret.strip()}
        forms = {form for secret in known if len(secret) >= _SHORT for form in _encodings(secret)}
        words = {form for secret in known if len(secret) < _SHORT for form in _spellings(secret)}
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        parts = [re.escape(MARK), *map(re.escape, longest_first)]
        parts += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words, key=lambda word: (-len(word), word))]
        # The mark goes first, so that a secret like "redacted" does not grow brackets around brackets.
        self._known = re.compile("|".join(parts)) if known else None

    def clean(self, text: str) -> str:
        """The text with each secret replaced by ``[redacted]``; digests, ids and timestamps stay."""
        if self._known is not None:
            text = self._known.sub(MARK, text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text

    def __repr__(self) -> str:
        return "Redactor()"


def _spellings(secret: str) -> set[str]:
    """The secret as it stands in a text, a URL, a JSON or HTML document, a Python literal."""
    urls = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), url) for url in urls}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    twice = {json.dumps(form)[1:-1] for form in escaped}
    return {secret, *urls, *lower, *escaped, *twice, html.escape(secret), html.escape(secret, quote=False)}


def _encodings(secret: str) -> set[str]:
    """The spellings, and base64 at each of the three places where the secret can begin in a longer text ("user:password")."""
    forms = _spellings(secret)
    raw = secret.encode()
    for offset in range(3):
        padded = b"\0" * offset + raw
        first = -(-offset * 8 // 6)  # characters that hold bits of what stands before
        whole = len(padded) * 8 // 6  # from here on they hold bits of what comes after
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            forms.add(encode(padded).decode()[first:whole])
    return forms
