"""Hides secrets in further usual forms: fields of XML, forms, commands, drivers and HTTP archives, and tokens of known services.

The prefixes of known services follow the rules of gitleaks and detect-secrets, two lists that are kept up to date: AWS, GitHub,
GitLab, Slack, Stripe, Google, npm, PyPI and SendGrid. Each pattern takes a time that grows with the length of the text: what may
repeat inside a pattern is bounded or is never given back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from verification.redaction.bare import MARK, TOKEN, looks_like_a_token

_NAME = r"(?P<name>[\w.-]{1,128})"
_QUOTE = r"\\{0,7}+[\"']"
_GAP = r"(?:\s|\\{1,3}[nrt])*+"
# The rest of a text in quotes; a variable in place of a secret stays, and so does what follows a quote that ends a text of JSON.
_IN_QUOTES = r"(?P<value>(?!\[redacted\]|(?:Bearer )?\$[A-Z_]+\b|[ \t]*[,:}\]])[^\\\"'\r\n]++)"
_IN_A_QUERY = r"(?P<value>(?!\[redacted\]|\$[A-Z_])(?:[^\s\\&;,\"'<>)\]:%]|%(?!(?:25)*(?:26|23))|:(?!\s))++)"
_BARE = rf"(?!\[redacted\])(?P<value>{TOKEN})"
_NEW_LINE = r"(?:\r?\n|\\{1,3}r\\{1,3}n|\\{1,3}n)"
# name="…" and value="…" of objects, tags and calls; in a tag further attributes may stand between them.
_NAMES = rf"(?<![\w-])(?:name|key|header|field){_QUOTE}?{_GAP}[:=]{_GAP}b?{_QUOTE}(?P<name>[\w.\[\]-]{{1,128}}){_QUOTE}"
_VALUES = rf"(?<![\w-])(?:value|val|content){_QUOTE}?{_GAP}[:=]{_GAP}b?{_QUOTE}"
_BETWEEN = rf"{_GAP},?{_GAP}(?:[\w-]{{1,40}}=[\"'][^\"'<>]{{0,200}}[\"']{_GAP},?{_GAP}){{0,4}}{_QUOTE}?"


@dataclass(frozen=True)
class _Form:
    """A form in which a secret is written."""

    needed: tuple[str, ...]
    """Parts, in lower case, that each such text has."""
    pattern: re.Pattern[str]
    """Its group ``value`` is hidden; its group ``name``, if it has one, must be that of a secret."""
    quoted: bool = False
    """Whether the value is hidden after the name of an ordinary value as well, such as ``cache_key``."""


def _form(needed: Iterable[str], pattern: str, flags: re.RegexFlag = re.I, *, quoted: bool = False) -> _Form:
    return _Form(tuple(needed), re.compile(pattern, flags), quoted)


_FORMS = (
    # {"name": "X-Api-Key", "value": "…"}, <input name="csrf_token" value="…">
    _form(("=",), rf"{_NAMES}{_BETWEEN}{_VALUES}{_IN_QUOTES}", quoted=True),
    _form((":",), rf"{_NAMES}{_BETWEEN}{_VALUES}{_IN_QUOTES}", quoted=True),
    # {"value": "…", "name": "X-Api-Key"}
    _form((), rf"{_VALUES}{_IN_QUOTES}{_QUOTE}{_BETWEEN}{_NAMES}", quoted=True),
    # {"token": {"value": "…"}}
    _form(
        ("{",),
        rf"(?<![\w.-]){_NAME}{_QUOTE}{_GAP}:{_GAP}\[?{_GAP}\{{{_GAP}{_QUOTE}value{_QUOTE}{_GAP}:{_GAP}{_QUOTE}{_IN_QUOTES}",
        quoted=True,
    ),
    # <token>…</token>, <a:ApiKey>…</a:ApiKey>
    _form(
        ("</",),
        r"<(?:\w{1,64}:)?(?P<name>[A-Za-z][\w.-]{0,127})(?:\s[^<>]*+)?>(?:<!\[CDATA\[)?(?P<value>(?!\[redacted\]|\$[A-Z_]|\s)(?:[^<>\s\]\"]|[ \t\"](?![ \t]*[,:}\]]))++)"
        r"(?=(?:\]\]>)?</(?:\w{1,64}:)?(?P=name)>)",
    ),
    # user[password]=…
    _form(("]", "="), rf"\[{_NAME}\]={_IN_A_QUERY}"),
    # tokens[]=…
    _form(("=",), rf"(?<![\w.-]){_NAME}(?:\[\]|%5B%5D)={_IN_A_QUERY}"),
    # user%5Bpassword%5D=…
    _form(("%5d",), rf"%5B{_NAME}%5D(?:=|%3D){_IN_A_QUERY}"),
    # next=%2Flogin%3Ftoken%3D…
    _form(("3d",), rf"(?:%(?:25)*(?:3F|26|23)){_NAME}%(?:25)*3D{_IN_A_QUERY}"),
    # https://…@host
    _form(
        ("://", "@"),
        r"(?<=[A-Za-z0-9+.-])://(?P<value>(?=[\w.~%+-]{0,300}\d)(?=[\w.~%+-]{0,300}[A-Za-z])[\w.~%+-]{16,300})@(?=[\w.\[-])",
    ),
    # --token …, '--token', '…'
    _form(("--",), rf"(?<![\w-])--{_NAME}[ \t]+{_BARE}"),
    _form(("--",), rf"(?<![\w-])--{_NAME}(?:[ \t]+|[\"'],[ \t]*)[\"']{_IN_QUOTES}"),
    # SecretStr('…')
    _form(("secret", "("), rf"\bSecret(?:Str|Bytes)?\(b?[\"']{_IN_QUOTES}"),
    # auth=('user', '…'), BasicAuth('user', '…')
    _form(
        ("auth", ","),
        rf"(?:\bauth[\"']?\s*+[:=]\s*+[(\[]|\b(?:HTTP)?(?:Basic|Digest|Proxy)Auth\()\s*+b?[\"'][^\"'\r\n]{{0,128}}[\"'],\s*+b?[\"']{_IN_QUOTES}",
    ),
    # Content-Disposition: form-data; name="password" … of a multipart body
    _form(
        ("form-data", "name="),
        rf"form-data;[^\r\n]{{0,100}}?\bname=\\?\"(?P<name>[\w.\[\]-]{{1,128}})\\?\"[^\r\n\\]{{0,200}}(?:{_NEW_LINE}[\w-]{{1,60}}: [^\r\n\\]{{1,200}}){{0,3}}"
        rf"{_NEW_LINE}{_NEW_LINE}(?P<value>(?!\[redacted\])[^\r\n\\\"']++)",
        quoted=True,
    ),
    # DETAIL: Key (user_id, token)=(1, …) already exists.
    _form((")=(",), r"\((?P<name>[\w ,\"]{1,300})\)=\((?P<value>(?!\[redacted\])[^()\r\n\"\\]++)"),
    # <Morsel: sid=…; Path=/>, <SimpleCookie: sid='…'>
    _form(("cookie: ",), rf"<\w{{0,20}}Cookie: [^\s=<>]{{1,128}}=[\"']?{_IN_QUOTES}"),
    _form(("<morsel: ",), r"<Morsel: [^\s=<>]{1,128}=(?P<value>(?!\[redacted\])[^;<>\r\n\"'\\]++)"),
    # Cookie(version=0, name='sid', value='…', …)
    _form(
        ("cookie(",),
        rf"\bCookie\((?:version=[^,()]{{1,20}}, *)?name=[\"'][^\"'()]{{1,128}}[\"'], *value=[\"']{_IN_QUOTES}",
    ),
    # tokens of AWS, GitHub, GitLab, Slack, Stripe, Google, npm, PyPI, SendGrid
    *(
        _form((part,), rf"(?<![A-Za-z0-9])(?P<value>{pattern})(?![A-Za-z0-9])", re.NOFLAG)
        for part, pattern in (
            *((one, rf"{one.upper()}[A-Z0-9]{{16}}") for one in ("akia", "asia", "abia", "acca")),
            *((f"gh{one}_", rf"gh{one}_[0-9A-Za-z]{{36}}") for one in "pousr"),
            ("github_pat_", r"github_pat_\w{82}"),
            ("glpat-", r"glpat-[\w-]{20}"),
            ("xox", r"xox[abeoprs]-[0-9A-Za-z-]{10,250}"),
            ("hooks.slack.com/", r"(?<=hooks\.slack\.com/services/)[A-Za-z0-9+/]{20,80}"),
            *((f"{one}k_", rf"{one}k_(?:live|test|prod)_[0-9A-Za-z]{{10,99}}") for one in "sr"),
            ("aiza", r"AIza[\w-]{35}"),
            ("npm_", r"npm_[0-9A-Za-z]{36}"),
            ("pypi-ageichlwas5vcmc", r"pypi-AgEIcHlwaS5vcmc[\w-]{50,1000}"),
            ("sg.", r"SG\.[\w-]{22}\.[\w-]{43}"),
        )
    ),
)
_WITHOUT_A_NAME = tuple(form for form in _FORMS if "name" not in form.pattern.groupindex)
# 'Authorization': 'Bearer '
#                  '…'
_CONTINUED = re.compile(
    rf"(?P<hidden>{re.escape(MARK)}(?P<quote>[\"']))(?:[ \t]*+\r?\n[E>+ \t-]*+b?(?P=quote)[^\"'\r\n\\]++(?P=quote)(?![ \t]*:))++"
)
# The value of a YAML key in the indented lines after it.
_BLOCK = re.compile(
    rf"(?P<head>(?<![\w.-]){_NAME}:[ \t]*+[|>][-+\d]{{0,2}}[ \t]*+\r?\n)(?P<lines>(?:[ \t]+[^\r\n]*+(?:\r?\n|\Z))++)"
)
_LINE_OF_A_BLOCK = re.compile(r"^([ \t]++)(?!\[redacted\])[^\r\n]++", re.M)
# curl -u admin:… and curl -b 'sid=…'
_OF_CURL = re.compile(
    r"(?<![\w-])(?:(?:-u|-U|--user|--proxy-user)[ \t=]*+(?P<quote>[\"']?)[^\s:\"'$]{1,128}:|(?:-b|--cookie)[ \t=]*+(?P<other>[\"']?)(?=[^\s\"']{1,128}=))"
    r"(?P<value>(?!\[redacted\]|\$)(?:(?!(?P=quote)|(?P=other))[^\"'\r\n\\]|[^\s\"'\\])++)"
)
_LONGEST_COMMAND = 512
_END_OF_A_COMMAND = re.compile(r"[\r\n;|]|, ")
# ['Authorization', …]: in a list of two the second is a value, unless it is the name of a header or a word of a message.
_OF_A_HEADER = re.compile(
    r"(?:x|accept|access-control|cache|content|forwarded|if|last|proxy|sec|set|strict-transport|transfer|user|www)(?:-[a-z]{1,24}){1,5}"
    r"|accept|age|allow|authorization|connection|cookie|date|etag|expires|host|location|origin|pragma|referer|server|vary|via|warning",
    re.I,
)
_WORDS = frozenset(
    {
        *("missing", "required", "invalid", "absent", "present", "expired", "empty", "unknown", "forbidden"),
        *("none", "null", "string", "str", "header", "headers", "cookie", "query", "path", "body", "scheme"),
        *("credentials", "bearer", "basic", "digest", "name", "value", "type", "format"),
    }
)
_WITH_A_SCHEME = re.compile(r"(?:bearer|basic|digest|token|negotiate|apikey)\s+\S|[^\s=]{1,128}=\S", re.I)
# Cookies in an archive or a jar, whose own names say nothing.
_SESSIONS = frozenset({"sid", "connect.sid"})


def is_name_or_word(text: str) -> bool:
    """Return whether the text is the name of a usual header, or a word of a message about one."""
    return _OF_A_HEADER.fullmatch(text) is not None or text.lower() in _WORDS


def hide_headers_in_lists(text: str, headers: str) -> str:
    """Return the text with the values hidden that follow the name of one of these headers after a comma."""
    return re.sub(
        rf"(?P<before>[(\[]\s?)?(?P<head>b?\\{{0,7}}[\"'](?:{headers})\\{{0,7}}[\"'],\s{{0,40}}b?)(?P<slash>\\{{0,7}})(?P<quote>[\"'])"
        rf"(?P<value>(?!\[redacted\])(?:[^\"'\\\r\n]|(?!(?P=quote))[\"'])++)",
        _hide_listed,
        text,
        flags=re.I,
    )


def _hide_listed(found: re.Match[str]) -> str:
    value, after = found["value"], found.string[found.end() : found.end() + 10].lstrip("\\")
    if is_name_or_word(value):
        return found[0]
    pair = found["before"] and (after == "" or after[1:2] in ("", ")", "]"))
    if not pair and not looks_like_a_token(value) and not _WITH_A_SCHEME.match(value):
        return found[0]
    return f"{found['before'] or ''}{found['head']}{found['slash']}{found['quote']}{MARK}"


def hide_fields_of_other_forms(
    text: str,
    is_secret: Callable[[str], bool],
    is_secret_without_quotes: Callable[[str], bool],
    *,
    telling: bool,
    whole: bool,
) -> str:
    """Return the text with the secrets of the forms above hidden.

    ``telling``: whether the text has a part of the name of a secret. ``whole``: try each pattern, whatever the text's characters.
    """
    lowered = text.lower()
    telling = telling or any(one in lowered for one in _SESSIONS)

    def hide(form: _Form, found: re.Match[str]) -> str:
        if "name" in found.re.groupindex and not named(found["name"], form):
            return found[0]
        begin, end = found.start("value") - found.start(), found.end("value") - found.start()
        return found[0][:begin] + MARK + found[0][end:]

    def named(name: str, form: _Form) -> bool:
        if form.quoted:
            return is_secret(name) or name.lower() in _SESSIONS
        return any(is_secret_without_quotes(one.strip(' "')) for one in name.split(","))

    for form in _FORMS if telling else _WITHOUT_A_NAME:
        if whole or all(one in lowered for one in form.needed):
            text = form.pattern.sub(partial(hide, form), text)
    if "curl" in lowered:
        text = _OF_CURL.sub(_hide_argument, text)
    if telling and "\n" in text and ("|" in text or ">" in text):
        text = _BLOCK.sub(
            lambda found: _hide_block(found) if is_secret_without_quotes(found["name"]) else found[0], text
        )
    return text


def hide_continued(text: str) -> str:
    """Return the text without the further lines of a hidden value: pprint writes a long text as several in quotes."""
    return _CONTINUED.sub(r"\g<hidden>", text)


def _hide_argument(found: re.Match[str]) -> str:
    begin = found.start()
    if "curl" not in _END_OF_A_COMMAND.split(found.string[max(0, begin - _LONGEST_COMMAND) : begin])[-1]:
        return found[0]
    return found.string[begin : found.start("value")] + MARK


def _hide_block(found: re.Match[str]) -> str:
    return found["head"] + _LINE_OF_A_BLOCK.sub(rf"\1{MARK}", found["lines"])
