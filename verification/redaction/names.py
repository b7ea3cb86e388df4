"""Decides by a name whether a header or field holds a secret."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST_NAME = 128
"""So many characters of the end of a name are read."""
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
"""A word of a name such as ``X-CSRFToken2``."""
_PART = re.compile(r"[A-Za-z]+")
_SECRET_WORDS = frozenset(
    {
        *("key", "token", "secret", "secrets", "auth", "authorization", "password", "passwords", "session"),
        *("passphrase", "passcode", "pwd", "jwt", "cookie", "cookies", "tokens"),
    }
)
# HTTP libraries write header names in lower case, which joins the words of X-CSRFToken and X-ClientSecret. So a word also names a
# secret if it ends with one of these, perhaps with a word for the value after it: clientsecret, tokenvalue, jsessionid.
_FOLLOWING = "id|value|hash|data|string|binary"
_JOINED = re.compile(
    r"[a-z]*(?:(?:token|secret|password|passwd|passphrase|cookie)s?|session|sessid|keyid|[a-z]keys?"
    rf"|(?:token|secret|password|session|cookie|[a-z]key)(?:{_FOLLOWING})"
    r"|(?:admin|api|app|card|db|ftp|login|mail|root|smtp|user)(?:otp|pass|pin|pwd))"
)
_FOLLOWED = re.compile(rf"(?:s|{_FOLLOWING})\Z")
# Ordinary words that end so, and the ends of further ones: survey-monkey, ice-hockey, repossession.
_ORDINARY_WORDS = frozenset(
    {
        *(
            "monkey",
            "turkey",
            "donkey",
            "hockey",
            "jockey",
            "whiskey",
            "mickey",
            "hickey",
            "doohickey",
            "dickey",
            "rickey",
        ),
        *("lackey", "flunkey", "malarkey", "yankey", "dinkey", "jokey", "smokey", "pokey", "hokey", "okey"),
        *("crikey", "flakey", "shakey", "darkey", "mackey", "starkey", "sharkey", "stuckey", "bickey", "cheekey"),
        *("latchkey", "turnkey", "hotkey", "softkey", "lowkey", "betoken", "foretoken"),
        *("possession", "obsession", "supersession", "intersession", "insession"),
    }
)
_ORDINARY_TAILS = ("monkey", "turkey", "donkey", "hockey", "jockey", "whiskey", "possession")
# Counters of a model or of a rate limit, and the keys of a table or of a message: max_tokens, X-RateLimit-Tokens, missing_keys.
_COUNTED = re.compile(
    r"(?:max|min|num|total|prompt|completion|input|output|cached|used|remaining|reasoning|limit)[^a-z]*tokens[^a-z]*\Z"
    r"|(?:max|min|num|total|primary|foreign|sort|partition|missing|unknown|extra|duplicate|dict|required)[^a-z]*keys[^a-z]*\Z",
    re.I,
)
# These words name a secret only at the end of a name: "user_pass" does, "pass_rate", "pin_code" and "credential_type" do not.
_SECRET_ENDINGS = frozenset({"pass", "pin", "otp", "credential", "credentials"})
# Ends of two words that name a secret though their last word does not, and ends that name none though it does.
_SECRET_ENDS = frozenset(
    f"{first}_{last}"
    for firsts, lasts in (
        ("otp", "code number value hash digits"),
        ("pin", "number value hash digits"),
        ("pass", "phrase word code hash"),
        ("credential credentials", "value data json hash"),
        # "keys" alone is no secret: a JSON Web Key Set has public keys in a field of this name.
        ("access api auth client encryption license master private secret service session signing ssh", "keys"),
    )
    for first in firsts.split()
    for last in lasts.split()
)
_ORDINARY_ENDS = frozenset(
    {"first_pass", "second_pass", "last_pass", "boarding_pass", "season_pass", "drop_pin", "map_pin"}
)
_EXCEPTION = re.compile(r"[A-Z][A-Za-z0-9]*(?:Error|Exception|Warning)")
# A header of CORS; its value is "true".
_ORDINARY = frozenset({"access-control-allow-credentials"})


@lru_cache(maxsize=4096)
def says_secret(name: str) -> bool:
    """Return whether a word of the name is one for a secret, in any case and spelling; see ``redactor.is_secret_name``."""
    if _EXCEPTION.fullmatch(name) or name.lower() in _ORDINARY:
        return False
    parts = [part for part in _PART.findall(_COUNTED.sub("", name)) if part.lower() not in _ORDINARY_WORDS]
    words = [word.lower() for part in parts for word in WORD.findall(part)]
    if not _SECRET_WORDS.isdisjoint(words) or any(map(_ends_in_secret, [*words, *map(str.lower, parts)])):
        return True
    # "oauth" is an ordinary word in "oauth-login".
    if parts and parts[-1].lower().endswith("auth"):
        return True
    end = "_".join(words[-2:])
    return end in _SECRET_ENDS or (end not in _ORDINARY_ENDS and not _SECRET_ENDINGS.isdisjoint(words[-1:]))


# Last words of names whose values without quotes are ordinary: auth_host=auth1.example.com, token_issuer=…, session_store=redis-1.
_ORDINARY_LAST = frozenset(
    {
        *("host", "domain", "url", "uri", "endpoint", "path", "file", "dir", "port", "arn", "region", "zone"),
        *("issuer", "type", "mode", "kind", "format", "class", "name", "alias", "prefix", "suffix", "label"),
        *("scope", "audience", "store", "table", "backend", "provider", "service", "algorithm"),
        *("alg", "status", "version", "policy", "schema", "stdin"),
    }
)
# Kinds of keys that are the ordinary ones of a row, a cache, a queue or a message: cache_key=user-12345678.
_ORDINARY_KEYS = frozenset(
    {
        *("max", "min", "num", "total", "primary", "foreign", "sort", "partition", "missing", "unknown", "extra"),
        *("duplicate", "dict", "required", "cache", "idempotency", "routing", "row", "hash", "db", "feature"),
        *("lookup", "unique", "shard", "range", "index", "record", "object", "file", "message", "dedup"),
        *("deduplication", "group", "translation", "map", "public", "column", "field"),
    }
)
_KEY_ALONE = re.compile(r"(?:\A|\.)_*+key[\W\d_]*\Z", re.I)


def is_ordinary_without_quotes(name: str) -> bool:
    """Return whether values without quotes after this name, such as ``key`` or ``partition_key``, are ordinary ones.

    They are even if the name is that of a secret beside a value in quotes.
    """
    words = [word.lower() for part in _PART.findall(name) for word in WORD.findall(part)]
    if not words or words[-1] in _ORDINARY_LAST:
        return True
    if _KEY_ALONE.search(name):  # stripe.api.key names a secret, row.key does not
        return f"{'_'.join(words[-2:])}s" not in _SECRET_ENDS
    last = "".join(words[-2:])
    return last.endswith("key") and last.removesuffix("key") in _ORDINARY_KEYS


def _ends_in_secret(word: str) -> bool:
    """Return whether the word, in lower case, ends with a word for a secret, and is no ordinary word."""
    if _JOINED.fullmatch(word) is None:
        return False
    stem = _FOLLOWED.sub("", word)
    return stem not in _ORDINARY_WORDS and not stem.endswith(_ORDINARY_TAILS)


def ends_secret(rest: str) -> bool:
    """Return whether the rest of a name whose beginning is unknown may be the end of a word for a secret."""
    return any(word.endswith(rest.lower()) for word in (*_SECRET_WORDS, *_SECRET_ENDINGS))


# The end of a name whose secret may be a number; "max_token" and "key" have no secret numbers.
_NUMERIC = re.compile(
    r"(?:pass|pin|otp|pwd|passwd|password|passcode|secret|credentials?|code|number|value|digits)[\W\d_]*\Z", re.I
)


def may_be_number(name: str) -> bool:
    """Return whether even a short number is a secret if a secret name ends so."""
    return _NUMERIC.search(name[-LONGEST_NAME:]) is not None


# The same for texts, in which "pass" may be a count.
_SHORT_NUMBER = re.compile(
    r"(?:pin|otp|pwd|passwd|password|passcode|secret)(?:[_-]?(?:code|number|value))?[\W\d_]*\Z", re.I
)
_LONG_NUMBER = re.compile(
    r"(?:token|session|cookie|sessid|auth|jwt|pass|passphrase|pin|otp|pwd|passwd|password|passcode|secret"
    r"|(?:access|api|auth|client|encryption|license|master|private|secret|service|session|signing|subscription)[_-]?key)"
    r"(?:[_-]?(?:id|code|number|value))?[\W\d_]*\Z",
    re.I,
)
_LEAST_DIGITS, LONG_DIGITS = 4, 8


def hides_number(name: str, digits: int) -> bool:
    """Return whether a number of so many digits, in a text after a secret name, is the secret and no count, time or row's key."""
    end = name[-LONGEST_NAME:]
    if digits >= LONG_DIGITS and _LONG_NUMBER.search(end):
        return True
    return digits >= _LEAST_DIGITS and _SHORT_NUMBER.search(end) is not None


# A name is read backwards from the sign after it, and a longer one only in its end: a pattern that began with the name would
# try each part of "a-b-c-…" anew.
_NAME_BACKWARDS = re.compile(r"[\w-]*+")


def name_before(text: str, end: int, backwards: re.Pattern[str] = _NAME_BACKWARDS) -> str:
    """Return the name that ends at this position, without hyphens before it; of a very long name the end."""
    found = backwards.match(text[max(0, end - LONGEST_NAME) : end][::-1])
    return found[0][::-1].lstrip("-") if found else ""


# suites/a/test_a.py::test_x[…, test_x[… and suites/a/checks.yaml::a name[…, read backwards from a place in the brackets. A name of
# a field before a bracket is no check: Session[token=…].
_IN_A_CHECK_BACKWARDS = re.compile(r"[^\[\]\r\n]*+\[(?:\w++::|\w*?_tset(?!\w)|[\w .,'()/-]++::lma?y\.)")
_LONGEST_CHECK = 256


def is_in_a_check(text: str, end: int) -> bool:
    """Return whether this position is in the brackets of a check's name, whose parameters tell the checks apart."""
    return _IN_A_CHECK_BACKWARDS.match(text[max(0, end - _LONGEST_CHECK) : end][::-1]) is not None
