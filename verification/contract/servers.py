"""The paths of a document's servers: what stands before the path of an operation."""

from __future__ import annotations

import re
from itertools import product
from urllib.parse import quote, unquote

from verification.contract.document import Node

_SAFE = "!$&'()*+,;=:@-._~"  # RFC 3986: what a segment of a path may have as it is
_ANY = "\0"  # stands for any one segment of a path, or part of one
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_HOST = re.compile(r"(?:localhost|[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}|[\w.-]+(?=:\d))(?::\d+)?(?=[/?#]|$)")
_MOST = 4096


def normal(path: str) -> str:
    """Return a path in one spelling: only the characters that require it are percent-encoded. A %2F stays in its segment."""
    return "/".join(quote(unquote(segment), safe=_SAFE) for segment in path.split("/"))


def prefixes(servers: Node | None) -> list[str]:
    """Return patterns of the servers' paths; their hosts are not compared, since each colour has its own.

    Raises InvalidDocument with the place of a server that cannot be used.
    """
    if servers is None:
        return [""]
    if not isinstance(servers.value, list):
        raise servers.wrong("must be a list of servers")
    found = (_paths(servers.child(index).object()) for index in range(len(servers.value)))
    return list(dict.fromkeys(path for paths in found for path in paths))


def _paths(server: Node) -> list[str]:
    url = server.value.get("url", "/")
    if not isinstance(url, str):
        raise server.wrong("must be a text", "url")
    url = re.split(r"[?#]", url)[0]
    values = {name: _values(one.object()) for name, one in server.mapping("variables")}
    # Some documents describe none of their variables: such a variable has any value.
    names = list(dict.fromkeys(_VARIABLE.findall(url)))
    values.update({name: [_ANY] for name in names if name not in values})
    # A host is not compared: one value of a variable in it is enough, unless a value has a path of its own.
    host = url[: len(url) - len(_path_of(url))]
    kept = [
        values[name]
        if name not in _VARIABLE.findall(host) or any("/" in one for one in values[name])
        else values[name][:1]
        for name in names
    ]
    if _count(kept) > _MOST:
        raise server.wrong(f"the variables have more than {_MOST} combinations", "url")
    made = (_with(url, dict(zip(names, chosen, strict=True))) for chosen in product(*kept))
    return list(dict.fromkeys(_pattern(_path_of(one)) for one in made))


def _count(choices: list[list[str]]) -> int:
    total = 1
    for one in choices:
        total *= max(1, len(one))
    return total


def _with(url: str, values: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], url)


def _values(variable: Node) -> list[str]:
    """Return the values that a variable may have: its enum, or else its default or any one segment."""
    listed = variable.value.get("enum")
    if listed is not None and not (isinstance(listed, list) and listed):
        raise variable.wrong("must be a list of values", "enum")
    if listed:
        return [str(value) for value in listed]
    default = str(variable.value.get("default", ""))
    if "//" in default:  # a whole address: another value says nothing about the path
        return [default]
    return [default, f"/{_ANY}" if default.startswith("/") else _ANY]


def _path_of(url: str) -> str:
    """Return the path of an absolute or relative address, whose host and port may be variables."""
    # Some documents omit the scheme: api.example.com/v1. A host needs a name with a dot or a port.
    absolute = re.match(r"[^/?#]*//(?:[^/?#{]|\{[^{}]*\})*", url) or _HOST.match(url)
    return url[absolute.end() :] if absolute else url


def _pattern(path: str) -> str:
    """Return the pattern of a server's path, without a slash at its end."""
    segments = [one for one in path.split("/") if one not in ("", ".", "..")]
    return "".join("/" + "[^/]+".join(re.escape(normal(part)) for part in one.split(_ANY)) for one in segments)
