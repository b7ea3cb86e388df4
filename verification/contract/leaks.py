"""Finds internal details that no answer may reveal: stack traces, paths, connection strings, SQL, and development tools."""

from __future__ import annotations

import re

import httpx

from verification.http.text_body import text_of
from verification.redaction.excerpt import excerpt

_LONGEST = 100
_SOURCES = r"(?:py|js|mjs|ts|go|java|kt|rb|php|cs|rs)"
# No pattern may begin again inside a run of characters that it reads: the body is the service's, and can have 16 MB.
_BODY: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "a stack trace",
        re.compile(
            r"Traceback \(most recent call last\)|\bFile \\*+[\"'][^\"']++[\"'], line \d+"
            rf"|\bat [\w.$<>]+ ?\([^()\s]+:\d+(?::\d+)?\)|goroutine \d+ \[|[\w/-]\.{_SOURCES}:\d+\b"
        ),
    ),
    (
        "a connection string",
        re.compile(r"\b(?:postgres(?:ql)?|mysql|mariadb|rediss?|mongodb|amqps?)(?:\+\w+)?://[^\s\"'<>]*", re.I),
    ),
    (
        "SQL, or the database's own words",
        re.compile(
            r"\bSELECT\b.{1,300}?\bFROM\b|\bINSERT INTO\b|\bUPDATE\b.{1,100}?\bSET\b|\bDELETE FROM\b"
            r"|\bSQLSTATE\b|\bpsycopg|\bsqlalchemy\b|syntax error at or near|violates \w[\w-]* constraint",
            re.S,
        ),
    ),
    (
        "a path of the server",
        re.compile(
            rf"(?<![\w:/.-])/(?:[\w.-]++/)+[\w-]++\.{_SOURCES}\b"
            r"|(?<![\w:/.])/(?:usr|home|root|srv|opt|var|tmp|etc)/[\w./-]+|\b[A-Z]:\\+[\w.-]+\\"
        ),
    ),
    (
        "the page of a framework",
        re.compile(
            r"Werkzeug|Whitelabel Error Page|DEBUG = True|Phusion Passenger|Apache Tomcat|\bStarlette\b|\buvicorn\b"
            r"|Cannot (?:GET|POST|PUT|DELETE|PATCH) /",
        ),
    ),
)
# A service may name its server (RFC 9110, 10.2.4; App Runner's proxy replaces the name), but not a server for development.
_SERVERS = re.compile(r"werkzeug|webrick|wsgiref|php/", re.I)
_BANNERS = ("x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-runtime", "x-debug-token")


def leaks(response: httpx.Response) -> list[str]:
    """Return the revealed details, each as a part of a sentence with its text, without secrets; empty if there are none."""
    text = text_of(response).replace("\\n", "\n")  # a trace in a JSON string
    found = [f"{what}: {_show(match[0])}" for what, pattern in _BODY if (match := pattern.search(text))]
    found += [f"the header {name}: {_show(response.headers[name])}" for name in _BANNERS if name in response.headers]
    server = response.headers.get("server", "")
    return found + ([f"the header server: {_show(server)}"] if _SERVERS.search(server) else [])


def _show(text: str) -> str:
    """Return the beginning of the text on one line, without secrets."""
    return " ".join(excerpt(text, _LONGEST).split())
