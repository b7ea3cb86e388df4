"""The lines that the proxy in front reads for each request, computed from listeners, rules and target health."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from infrastructure.embedded import files
from infrastructure.embedded.aws.elbv2.records import Document, Resource, Target, forwarded_groups
from infrastructure.embedded.aws.elbv2.store import Store

SLOTS = 6
"""Number of slots per listener, one per host name of a rule; the proxy's configuration is made for this number."""
ENTRIES = 12
"""Maximum number of targets per rule."""
UNUSED = "-"
ANY_HOST = "*"
_SCALE = 0x10000
_EVERY_REQUEST = "g"
"""A threshold greater than every hexadecimal digit, so that every request's uuid is below it."""


def lines(rules: Iterable[Resource], targets: Mapping[str, list[Target]]) -> list[tuple[str, Document | None]]:
    """Return for each used slot the line `HOST THRESHOLD ADDRESS …` and its fixed response, or None.

    A request goes to the first address whose threshold, compared as text, is above its uuid. `=503` in place of an
    address is an answer with that status. `HOST>OTHER` in place of HOST sends the host OTHER to the address.
    """
    found = []
    for rule in rules:
        response = next((one for one in rule.document["Actions"] if one["Type"] == "fixed-response"), None)
        fixed = response["FixedResponseConfig"] if response else None
        where = f"{_EVERY_REQUEST} ={fixed['StatusCode']}" if fixed else _spread(rule, targets)
        found += [(f"{host}{_rewritten(rule)} {where}", fixed) for host in hosts(rule)]
    return found


def _rewritten(rule: Resource) -> str:
    """Return `>OTHER` for the rule's host rewrite, or ""; rules stored by an earlier version have no transforms."""
    transforms = rule.document.get("Transforms", ())
    return "".join(f">{one['HostHeaderRewriteConfig']['Rewrites'][0]['Replace']}" for one in transforms)


def hosts(rule: Resource) -> list[str]:
    """Return the host names that a rule matches; the default rule matches every host."""
    named = [host for condition in rule.document["Conditions"] for host in condition["HostHeaderConfig"]["Values"]]
    return [host.lower() for host in named] or [ANY_HOST]


def usable(targets: Iterable[Target]) -> list[Target]:
    """Return the healthy targets, or all registered ones if none is healthy: a load balancer fails open."""
    registered = [one for one in targets if not one.draining]
    return [one for one in registered if one.state == "healthy"] or registered


def _spread(rule: Resource, targets: Mapping[str, list[Target]]) -> str:
    weights = {group: weight for group, weight in forwarded_groups(rule.document["Actions"]).items() if weight}
    room = ENTRIES // max(1, len(weights))
    entries, below, total = [], 0.0, sum(weights.values())
    for group, weight in weights.items():
        addresses = [str(one.address) for one in usable(targets.get(group, ()))][:room] or ["=503"]
        for address in addresses:
            below += weight / total / len(addresses)
            entries.append((below, address))
    if not entries:
        entries = [(1.0, "=503")]
    shown = [f"{round(share * _SCALE):04x} {address}" for share, address in entries[:-1]]
    return " ".join([*shown, f"{_EVERY_REQUEST} {entries[-1][1]}"])


class RouteFiles:
    """The files `<folder>/<listener port>/<slot>`, each replaced atomically and only if its content changes."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def write(self) -> None:
        """Update the files to match the store."""
        targets: dict[str, list[Target]] = {}
        for target in self._store.targets():
            targets.setdefault(target.address.group_arn, []).append(target)
        for listener in self._store.all("listener"):
            folder = self._folder / str(listener.document["Port"])
            found = lines(self._store.rules_of(listener.arn), targets)
            for slot, (line, fixed) in enumerate(found + [(UNUSED, None)] * (SLOTS - len(found)), start=1):
                if fixed is not None:
                    _put(folder / f"{slot}.type", fixed.get("ContentType", "text/plain"))
                    _put(folder / f"{slot}.body", fixed.get("MessageBody", ""))
                _put(folder / str(slot), line)


def _put(path: Path, text: str) -> None:
    try:
        if path.read_text() == text:
            return
    except FileNotFoundError:
        pass
    # Not synced: it is derived from the store, which is synced, and it is written again at each start.
    files.replace(path, text, mode=0o644, durable=False)
