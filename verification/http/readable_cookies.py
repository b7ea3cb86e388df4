"""Cookies of answers, also those with a date that the standard library cannot read: it prints a traceback as a warning for them."""

from __future__ import annotations

import re
from http.cookiejar import parse_ns_headers  # type: ignore[attr-defined]  # its types are incomplete

import httpx

_EXPIRES = re.compile(r";\s*expires\s*=[^;]*", re.IGNORECASE)
# A Max-Age without a value, or of more seconds than any clock has.
_NO_AGE = re.compile(r";\s*max-age\s*(?:=\s*-?\d{13}[^;]*)?(?=;|$)", re.IGNORECASE)


class ReadableCookies(httpx.Cookies):
    """Cookies that ignore a date without a meaning, as browsers do (RFC 6265, 5.2), and a cookie that cannot be read."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Keep the cookies of a response."""
        lines, headers = response.headers.get_list("set-cookie"), response.headers
        readable = [one for line in lines if (one := self.readable(line)) is not None]
        if readable != lines:
            headers = httpx.Headers([(b"Set-Cookie", one.encode(headers.encoding)) for one in readable])
        super().extract_cookies(httpx.Response(response.status_code, headers=headers, request=response.request))

    def readable(self, line: str) -> str | None:
        """Return a line of Set-Cookie, without its date if that has no meaning; None if it cannot be read."""
        aged = _NO_AGE.sub("", line)
        return next((one for one in (aged, _EXPIRES.sub("", aged)) if _parses(one)), None)


class SendableCookies(ReadableCookies):
    """Cookies that a client sends again: httpx raises an exception for a request with one beyond ASCII."""

    def readable(self, line: str) -> str | None:
        """Return a line of Set-Cookie as ``ReadableCookies`` does; None if it has other characters than those of ASCII."""
        return super().readable(line) if line.isascii() else None


def _parses(line: str) -> bool:
    try:
        parse_ns_headers([line])
    except Exception:
        return False
    return True
