"""Removes secrets from text that is shown or kept: known values in every common encoding, and text that has the shape of a secret."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property, partial

from verification.redaction import bare, fields, private
from verification.redaction.composed import COMPOSED, is_about_another_field, is_path, says_failure
from verification.redaction.names import (
    LONG_DIGITS,
    LONGEST_NAME,
    WORD,
    ends_secret,
    hides_number,
    is_in_a_check,
    is_ordinary_without_quotes,
    may_be_number,
    name_before,
    says_secret,
)
from verification.redaction.shortened import Ends, may_be_shortened
from verification.redaction.spellings import encodings, parts, spellings

MARK = bare.MARK
# A shorter secret is replaced as a whole word only; "abc" is part of too many words.
_SHORT = 6
_FIELDS = (
    "password|passwd|passphrase|passcode|pwd|new_password|old_password|access_token|refresh_token|id_token|session_token|secret|client_secret|"
    "jwt_secret|api_key|secret_access_key|aws_secret_access_key|aws_session_token|secretaccesskey|sessiontoken|"
    # Secrets Manager, ECR and Cognito: botocore logs whole answers at level DEBUG, before the redactor can learn their secrets.
    "secretstring|secretbinary|authorizationtoken|accesstoken|idtoken|refreshtoken"
)
_HEADERS = "authorization|proxy-authorization|set-cookie|cookie|x-api-key|x-amz-security-token"
# A variable in place of a secret in a command that is shown: "Bearer $TOKEN" must stay readable.
_VARIABLE = r"(?:Bearer )?\$[A-Z_]+\b"
# After a quote also the mark itself: in a page "password='[redacted]", whose last quote is missing, must not hide everything up
# to the next quote.
_SHOWN = rf"{_VARIABLE}|\[redacted\](?:[\"'\\]|\Z)"

# Values without quotes around them. A backslash before a quote is not a part of them: in JSON it belongs to the quote.
# A colon before a blank ends the query: "GET /x?a=b: status 404".
_WORD_OF_A_QUERY = r"(?:[^\s\\&;,\"'<>)\]:]|:(?!\s)|\\++(?![\"']))"
_REST_OF_A_LINE = r"(?:[^\r\n\\\"']|\\++(?![\"']))"


def _hide_field(found: re.Match[str]) -> str:
    end = found.end("name")
    quoted = found.string[end] == ":" and found["head"][-1] in "\"'"
    about_another = quoted and is_about_another_field(found.string, found["value"], found.end() + 1)
    return found[0] if about_another or is_path(found.string, end) else found["head"] + MARK


# Each pattern takes a time that grows with the length of the text and not faster, whatever the text: services write it. So no
# pattern may begin again inside a run of characters that it reads, and nothing that was read is given back (``++``, ``*+``).
_PATTERNS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # JSON in JSON: \"password\": \"…\"
    (
        re.compile(
            rf'((?<!\\)\\++["\'](?:{_FIELDS})\\++["\']\s*+:\s*+\\++["\'])(?!{_VARIABLE})(?:[^\\\n]|\\++(?!["\']))*+',
            re.I,
        ),
        rf"\1{MARK}",
    ),
    # "password": "…", 'password': '…', password="…"; also the last one of a text that was cut off
    (
        re.compile(
            rf'(?P<head>\b(?P<name>{_FIELDS})["\']?\s*+[:=]\s*+b?")(?!{_SHOWN})(?P<value>(?:[^"\\\r\n]|\\.)*+)', re.I
        ),
        _hide_field,
    ),
    (
        re.compile(
            rf"(?P<head>\b(?P<name>{_FIELDS})[\"']?\s*+[:=]\s*+b?')(?!{_SHOWN})(?P<value>(?:[^'\\\r\n]|\\.)*+)", re.I
        ),
        _hide_field,
    ),
    # password=… of a form or a query
    (re.compile(rf"(\b(?:{_FIELDS})=)(?![\"'\[]|b[\"']|{_VARIABLE}){_WORD_OF_A_QUERY}++", re.I), rf"\1{MARK}"),
    # 'Authorization': 'Bearer …'
    (re.compile(rf"(\b(?:{_HEADERS})[\"']\s*+:\s*+b?\")(?!{_SHOWN})(?:[^\"\\\r\n]|\\.)*+", re.I), rf"\1{MARK}"),
    (re.compile(rf"(\b(?:{_HEADERS})[\"']\s*+:\s*+b?')(?!{_SHOWN})(?:[^'\\\r\n]|\\.)*+", re.I), rf"\1{MARK}"),
    # Authorization: … of a header block, to the end of the line or of the quotes around it
    (
        re.compile(
            rf"(?P<head>\b(?P<name>{_HEADERS}):[ \t]*+)(?![\"']|{_VARIABLE}|{COMPOSED})(?P<value>{_REST_OF_A_LINE}++)",
            re.I,
        ),
        _hide_field,
    ),
    # <password>…</password>
    (
        re.compile(
            rf"(<(?:\w++:)?(?:{_FIELDS}|pass|pin|otp|credentials?)(?:\s[^<>]*+)?>)(?!{_VARIABLE})[^<\r\n]++", re.I
        ),
        rf"\1{MARK}",
    ),
    (re.compile(r"\b(Bearer )(?=[\w.~+/-]*\d)[\w.~+/-]{16,}+=*+", re.I), rf"\1{MARK}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{4,}+(?:\.[\w-]*+)?"), MARK),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|\Z)"
        ),
        MARK,
    ),
    # pytest shortens a long value to its beginning and its end.
    (re.compile(r"(\[redacted\])\.\.\.[\w./+=-]++"), r"\1"),
    # user:password@ of a URL; the greedy part ends at the last @ before the path
    (re.compile(r"((?<=[A-Za-z0-9+.-])://[^\s/@:\"'<>]*+:)[^\s/\"'<>]+(?=@)"), rf"\1{MARK}"),
)

# Most texts have no part that any match of a pattern must have, so that most patterns need not be tried. A part may be in any case.
_PAIRED = ":=,"
"""A pair of a name and a value has one of these characters."""
_TELLING = (
    *(
        "key",
        "token",
        "secret",
        "auth",
        "pass",
        "pwd",
        "pin",
        "otp",
        "credential",
        "jwt",
        "session",
        "sessid",
        "cookie",
    ),
)
"""Every name of a secret has one of these parts."""
_NAMED: tuple[str, ...] = ()
"""In place of a part: one of ``_TELLING`` and one of ``_PAIRED``."""
_NEEDED: tuple[tuple[str, ...], ...] = (
    *[_NAMED] * 7,
    ("<", ">"),
    ("bearer ",),
    ("eyj", "."),
    ("-----begin ",),
    (MARK, "..."),
    ("://", "@"),
)
_TRIED = tuple(zip(_NEEDED, _PATTERNS, strict=True))

_SECRET_WORDS_OF_A_QUERY = frozenset({"signature", "sig"})
_HEADER_BACKWARDS = re.compile(r"[A-Za-z0-9-]*+")
# After the name: "name": "value" and name = 'value', with up to 31 backslashes before the quotes: JSON in JSON, five times.
_QUOTED_PAIR = re.compile(
    rf"""(?P<head>(?<=[\w.-])\\{{0,31}}+["']?\s*+(?:=>|:=|[:=])\s*+b?(?P<slash>\\{{0,31}}+)(?P<quote>["']))(?!{_SHOWN})"""
    r"""(?P<value>(?:(?!(?P=slash)(?P=quote))(?:[^\\\r\n]|\\.))*+)"""
)
# (b"name", b"value") of an HTTP library.
_PAIR_OF_HTTP = re.compile(
    rf"""(?P<head>\(b?["'](?P<name>[\w.-]++)["'],\s*+b?(?P<quote>["']))(?!{_SHOWN})"""
    r"""(?P<value>(?:(?!(?P=quote))(?:[^\\\r\n]|\\.))*+)"""
)
# After the name, with its last quote if it has one: "name": 12345678 and name=12345678, but no date, time or part of a word.
_NUMBER = re.compile(
    r"""(?<=[\w.-])(?P<quote>\\{0,31}+["']?)(?P<sign>[ \t]*+[:=][ \t]*+)-?(?P<digits>\d{4,}+)(?:\.\d++)?(?![\w-]|[.:/%]\w)"""
)
# After the name in a header's line, whose name has a hyphen; and a query's ?name=. After the name of a step stands a request.
_HEADER_LINE = re.compile(
    rf"(?<=[A-Za-z0-9]):[ \t]*+(?![\"'\[]|{_VARIABLE}|(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|QUERY) /)"
)
# A sentence after the name of a gate or a check: three words, or words and numbers, but no two numbers one after the other.
_OF_A_SENTENCE = r"(?:[A-Za-z][a-z]{0,19}(?:['-][a-z]{1,19})?|\d{1,7}(?:\.\d{1,3})?(?:%|m?s)?)[,.;:]?"
_SENTENCE = re.compile(rf"(?!(?:\S{{1,41}}+ )?\d\S{{0,40}}+ \d)(?:{_OF_A_SENTENCE} ){{2}}{_OF_A_SENTENCE}(?!\S)")
# Words at the end of a name after which even a sentence is hidden: it may be a passphrase. "auth-flow" is the name of a gate.
_ALWAYS_HIDDEN = re.compile(
    r"(?:pass(?:word|wd|phrase|code)|pwd|secret|auth(?:orization)?|cookie)s?(?:[_-]?(?:id|value|hash|data|\d+))?\Z",
    re.I,
)
_HEADER_VALUE = re.compile(rf"{_REST_OF_A_LINE}*+")
_QUERY = re.compile(rf"(?:[?&#](?:amp;)?|\\u0026)(?P<name>[\w.-]++)=(?!{re.escape(MARK)}|{_VARIABLE})")
_QUERY_VALUE = re.compile(rf"{_WORD_OF_A_QUERY}*+")
# So much of a URL is searched for OAuth's state before and after its code.
_LONGEST_QUERY = 1024
_STATE = re.compile(r"(?:[?&#;]|\\u0026)state=")


_PRIVATE_FIELDS: set[str] = set()


def hide_fields(names: Iterable[str]) -> None:
    """Treat fields of these names, in any case, as secret from now on in this process: a service's private data."""
    _PRIVATE_FIELDS.update(name.lower() for name in names)


def is_secret_name(name: str) -> bool:
    """Return whether a header or field of this name holds a secret: one of its whole words says so, in any case and spelling.

    ``X-Auth-Token``, ``apiKey``, ``x-csrftoken`` and ``session_id`` do; ``author``, ``monkey`` and ``passed`` do not. The words
    pass, pin, otp and credential count at the end of a name: ``card_pin`` does, ``pin_code`` does not. Neither does the name of
    an exception: after ``KeyError`` stands the name that was missing, which the reader needs.
    """
    return name.lower() in _PRIVATE_FIELDS or says_secret(name[-LONGEST_NAME:])


def is_secret_number(name: str) -> bool:
    """Return whether even a short number in a field of this name is a secret: a PIN, a numeric password, or private data."""
    return name.lower() in _PRIVATE_FIELDS or (is_secret_name(name) and may_be_number(name))


def _is_private(name: str) -> bool:
    return not _PRIVATE_FIELDS.isdisjoint({name.lower(), name.rpartition(".")[2].lower()})


def _is_secret_without_quotes(name: str) -> bool:
    return _is_private(name) or (is_secret_name(name) and not is_ordinary_without_quotes(name))


# JSON in a text in JSON in the repr of a request. Any deeper, and a line without a closing quote is read once per pair in it.
_DEEPEST = 3


def _hide_pair_of_http(found: re.Match[str]) -> str:
    if fields.is_name_or_word(found["value"]) and found.string[found.start("quote") - 1] != "b":
        return found[0]
    return _hide_value(found, found["name"], 1)


def _hide_quoted_pair(found: re.Match[str], depth: int = 1) -> str:
    name = name_before(found.string, found.start())
    if _is_cut(found, name) and bare.looks_like_a_token(found["value"]):
        return found["head"] + MARK
    if found.string[found.start()] == ":":
        end = found.end() + len(found["slash"]) + 1
        if is_path(found.string, found.start()) or is_about_another_field(found.string, found["value"], end):
            return found[0]
    return _hide_value(found, name, depth)


def _is_cut(found: re.Match[str], name: str) -> bool:
    """Return whether pytest cut the name, as in ``{'session_tok...rd': …}``, and its end may be that of a secret's name."""
    return found.string.endswith("...", 0, found.start() - len(name)) and ends_secret(name)


def _hide_value(found: re.Match[str], name: str, depth: int) -> str:
    if is_secret_name(name):
        return found["head"] + MARK
    if depth == _DEEPEST or len(found["value"]) < _SHORT:
        return found[0]
    # The value of a pair that is not secret may itself hold secret pairs.
    return found["head"] + _QUOTED_PAIR.sub(partial(_hide_quoted_pair, depth=depth + 1), found["value"])


def _hide_number(found: re.Match[str]) -> str:
    """Hide a number. The mark has the quotes of the name: the text may be JSON, and the journal reads it again."""
    name, digits = name_before(found.string, found.start()), len(found["digits"])
    hidden = digits >= LONG_DIGITS and (
        name.lower() in _PRIVATE_FIELDS or (found["quote"] != "" and _is_cut(found, name))
    )
    if not hidden and not (is_secret_name(name) and hides_number(name, digits)):
        return found[0]
    if is_path(found.string, found.start()):
        return found[0]
    if found["quote"] == "" and not _is_private(name) and is_in_a_check(found.string, found.start()):
        return found[0]
    return f"{found['quote']}{found['sign']}{found['quote']}{MARK}{found['quote']}"


def _is_secret_header(found: re.Match[str]) -> bool:
    name = name_before(found.string, found.start(), _HEADER_BACKWARDS)
    if "-" not in name or not is_secret_name(name) or is_path(found.string, found.start()):
        return False
    if says_failure(found.string, found.end()):
        return False
    return _ALWAYS_HIDDEN.search(name) is not None or _SENTENCE.match(found.string, found.end()) is None


def _is_secret_in_a_query(found: re.Match[str]) -> bool:
    name = found["name"]
    # Words of a signed URL; elsewhere they name ordinary values.
    signs = not _SECRET_WORDS_OF_A_QUERY.isdisjoint(word.lower() for word in WORD.findall(name[-LONGEST_NAME:]))
    return signs or is_secret_name(name) or (name.lower() == "code" and _is_code_of_oauth(found))


def _is_code_of_oauth(found: re.Match[str]) -> bool:
    """Return whether a parameter ``code`` is long enough for a secret, or stands beside OAuth's ``state``: a country's is short."""
    text, end = found.string, found.end()
    value = _QUERY_VALUE.match(text, end)
    if value is not None and value.end() - end >= _LEAST_OF_ENVIRONMENT:
        return True
    before, after = text[max(0, end - _LONGEST_QUERY) : end], text[end : end + _LONGEST_QUERY]
    beside = (*before.split()[-1:], *after.split(maxsplit=1)[:1])
    return any(_STATE.search(one) for one in beside)


def _hide_after(
    signs: re.Pattern[str], is_secret: Callable[[re.Match[str]], bool], value: re.Pattern[str], text: str
) -> str:
    """Return the text with each value hidden that follows the sign of a secret name; another value may hold such a sign itself."""
    pieces: list[str] = []
    done = 0
    for sign in signs.finditer(text):
        if sign.start() < done or not is_secret(sign):
            continue
        found = value.match(text, sign.end())
        if found is not None and found.end() > sign.end():
            pieces += [text[done : sign.end()], MARK]
            done = found.end()
    return "".join([*pieces, text[done:]])


# Names of variables that hold a secret, unless their ending says that they hold its location.
_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.I)
_NO_SECRET_NAME = re.compile(r"_(?:FILE|PATH|DIR|ID|ARN|NAME|URL|URI|HOST|TTL|TIMEOUT|EXPIRATION)$", re.I)
# Shorter values, and those of letters alone, are words like "test" and "disabled"; without them output is unreadable.
_LEAST_OF_ENVIRONMENT = 8


def secrets_in(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the values, at least eight characters long, of variables whose names say that they hold a secret."""
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and not _NO_SECRET_NAME.search(name) and len(value) >= _LEAST_OF_ENVIRONMENT:
            yield value


_LONGEST_KEPT, _MOST_KEPT = 300, 4096
"""The cleaned form of texts up to this length is kept, for so many texts."""


class Redactor:
    """Replaces known secrets, and text that has the shape of a secret. ``clean`` twice is ``clean`` once."""

    def __init__(self, secrets: Iterable[str], before: Redactor | None = None) -> None:
        """``before``: a redactor whose secrets are known as well, so that learning one more token does not prepare all of them again."""
        known = {part for secret in secrets for part in parts(secret)}
        forms = {form for secret in known if len(secret) >= _SHORT for form in encodings(secret)}
        words = {form for secret in known if len(secret) < _SHORT for form in spellings(secret)}
        self._cleaned: dict[tuple[int, str], str] = {}
        self._forms: frozenset[str] = frozenset(forms | (before._forms if before else frozenset()))
        self._words: frozenset[str] = frozenset(words | (before._words if before else frozenset()))

    def clean(self, text: str) -> str:
        """Return the text with each secret replaced by ``[redacted]``; digests, ids and timestamps stay."""
        if len(text) > _LONGEST_KEPT:
            return self._clean(text)
        # A report of a check has the same names and texts several times, and is cleaned where it is made and where it is written.
        key = (len(_PRIVATE_FIELDS), text)
        found = self._cleaned.get(key)
        if found is None:
            if len(self._cleaned) >= _MOST_KEPT:
                self._cleaned.clear()
            found = self._cleaned[key] = self._clean(text)
        return found

    def _clean(self, text: str) -> str:
        text = self.hide_known(text)
        lowered, whole = (
            text.lower(),
            not text.isascii(),
        )  # some letters beyond ASCII match one of ASCII in another case
        telling = whole or any(one in lowered for one in (*_TELLING, *_PRIVATE_FIELDS))
        named = whole or (telling and any(one in text for one in _PAIRED))
        text = fields.hide_fields_of_other_forms(
            text, is_secret_name, _is_secret_without_quotes, telling=telling, whole=whole
        )
        for needed, (pattern, replacement) in _TRIED:
            if named if needed is _NAMED else whole or all(one in lowered for one in needed):
                text = pattern.sub(replacement, text)
                lowered = text.lower()  # the mark may be new in it
        if "=" in text:
            text = _hide_after(_QUERY, _is_secret_in_a_query, _QUERY_VALUE, text)
        if named:
            text = fields.hide_headers_in_lists(text, _HEADERS)
            text = _PAIR_OF_HTTP.sub(_hide_pair_of_http, _QUOTED_PAIR.sub(_hide_quoted_pair, text))
            text = fields.hide_continued(text)
            text = _NUMBER.sub(_hide_number, text)
            text = bare.hide_bare(text, _is_secret_without_quotes, _is_private)
            text = _hide_after(_HEADER_LINE, _is_secret_header, _HEADER_VALUE, text)
        if _PRIVATE_FIELDS:
            text = private.hide_private(text, _is_private)
        return text

    def hide_known(self, text: str) -> str:
        """Return the text with each known secret replaced; the shape of no other text is looked at."""
        found = self._found(text)
        text = re.sub("|".join(found), MARK, text) if found else text
        return self._ends.hide(text) if self._forms and may_be_shortened(text) else text

    @cached_property
    def _ends(self) -> Ends:
        return Ends(self._forms)

    def _found(self, text: str) -> list[str]:
        """Return patterns for the known secrets that occur in the text: to compile a pattern of all of them takes longer than to use it."""
        forms = sorted((form for form in self._forms if form in text), key=_longest_first)
        words = sorted((word for word in self._words if word in text), key=_longest_first)
        if not forms and not words:
            return []
        # The mark goes first, so that a secret like "redacted" does not put brackets around brackets.
        whole_words = (rf"(?<!\w){re.escape(word)}(?!\w)" for word in words)
        return [re.escape(MARK), *map(re.escape, forms), *whole_words]

    def __repr__(self) -> str:
        return "Redactor()"


class LearningRedactor:
    """A redactor that learns further secrets. It knows those of the process's environment from the start.

    ``clean_for_all`` uses the secrets of every such redactor of the process, as long as it exists.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._learning = threading.Lock()
        self._known = set(secrets_in(os.environ if environment is None else environment))
        self._redactor = Redactor(self._known)
        with _REGISTERING:
            _REDACTORS.add(self)

    def learn(self, *secrets: str) -> None:
        """Hide these values from now on. Values of fewer than 8 characters are ignored: they are part of too many other words."""
        long = [secret for secret in secrets if len(secret) >= _LEAST_OF_ENVIRONMENT]
        with self._learning:  # two threads may sign in at the same time
            if not self._known.issuperset(long):
                self._known.update(long)
                self._redactor = Redactor(long, self._redactor)

    def clean(self, text: str) -> str:
        """Return the text without secrets."""
        return self._redactor.clean(text)

    def hide_known(self, text: str) -> str:
        """Return the text without the secrets that were learnt."""
        return self._redactor.hide_known(text)


_REDACTORS: weakref.WeakSet[LearningRedactor] = weakref.WeakSet()
_REGISTERING = threading.Lock()
_SHAPES = Redactor(())


def clean_for_all(text: str) -> str:
    """Return the text without secrets, for code that has no redactor of its own: it knows what any redactor of the process learnt."""
    with _REGISTERING:
        redactors = list(_REDACTORS)
    for one in redactors:
        text = one.hide_known(text)
    return _SHAPES.clean(text)


def _longest_first(form: str) -> tuple[int, str]:
    return -len(form), form
