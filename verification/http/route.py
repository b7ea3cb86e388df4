"""How requests reach one release at an address that several share: by further headers, or by another host than the URL's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from verification.redaction.redactor import is_secret_name

# RFC 9110, 5.6.2 (token) and 5.5 (field values), without the obsolete characters above ASCII.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z]([0-9A-Za-z._-]*[0-9A-Za-z])?\.?)(:[0-9]{1,5})?")
_OF_THE_CONNECTION = frozenset(
    {"connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True)
class Route:
    """Headers that each request carries, and the host that replaces the URL's in the Host header and in TLS (None: the URL's)."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    host: str | None = None

    @classmethod
    def of(cls, headers: Iterable[str], host: str | None = None) -> Route:
        """Return the route of headers as ``NAME: VALUE`` and a host. Raises ValueError, without any value, if one is malformed."""
        pairs = tuple(map(_pair, headers))
        names = [name.lower() for name, _ in pairs]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"header {twice} is given twice; give each header once")
        if host is not None and not _is_host(host):
            raise ValueError(f"{host!r} must be a host, or host and port, such as api.example.com")
        return cls(pairs, host)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Route:
        """Return the route that ``dataclasses.asdict`` made to JSON values."""
        return cls(tuple((str(name), str(value)) for name, value in raw["headers"]), raw["host"])

    @property
    def sent(self) -> dict[str, str]:
        """The headers of a request, ``Host`` among them if it replaces the URL's."""
        return {**dict(self.headers), **({} if self.host is None else {"Host": self.host})}

    def beside(self, own: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request that has some of its own, which take precedence."""
        names = {name.lower() for name in own}
        return {**{name: value for name, value in self.sent.items() if name.lower() not in names}, **own}

    @property
    def tls_name(self) -> str | None:
        """The name that TLS asks for and checks; None: the URL's."""
        return None if self.host is None else urlsplit(f"//{self.host}").hostname

    def secrets(self) -> Iterator[str]:
        """Yield the values of headers whose names say that they are secret."""
        for name, value in self.headers:
            if is_secret_name(name):
                yield value
                yield value.rpartition(" ")[2]  # of "Bearer TOKEN" a message may quote the token alone


DIRECT = Route()
"""The address as it is."""


def _pair(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    name, value = name.strip(), value.strip()
    if not (colon and _NAME.fullmatch(name)):
        raise ValueError("a header must be 'NAME: VALUE', such as 'X-Release: candidate'")
    if not _VALUE.fullmatch(value):
        raise ValueError(f"the value of header {name} must be one line of printable ASCII characters, and not empty")
    if name.lower() == "host":
        raise ValueError("the header Host is set by --host")
    if name.lower() in _OF_THE_CONNECTION:
        raise ValueError(f"the header {name} belongs to the connection, and cannot be given")
    return name, value


def _is_host(given: str) -> bool:
    if not _HOST.fullmatch(given):
        return False
    try:
        url = urlsplit(f"//{given}")
        return bool(url.hostname) and (url.port is None or 0 < url.port < 65536)
    except ValueError:
        return False
