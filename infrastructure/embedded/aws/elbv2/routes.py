"""From listeners, rules and the health of targets to the lines that the proxy in front reads with each request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from infrastructure.embedded import files
from infrastructure.embedded.aws.elbv2.records import Document, Resource, Target, forwarded_groups
from infrastructure.embedded.aws.elbv2.store import Store

SLOTS = 6
"""Rules of a listener, each of its host names counted: the proxy's configuration is written once, with so many."""
ENTRIES = 12
"""Targets that one rule's requests are spread over."""
UNUSED = "-"
ANY_HOST = "*"
_SCALE = 0x10000
_EVERYBODY = "g"
"""Greater than every hexadecimal digit, so that any request's uuid is below it."""


def lines(rules: Iterable[Resource], targets: Mapping[str, list[Target]]) -> list[tuple[str, Document | None]]:
    """A line for each slot in use, `HOST THRESHOLD ADDRESS …`, and the fixed response that goes with it, if one does.

    A request goes to the first address whose threshold is above its uuid, as text. `=503` is no address but an answer.
    `HOST>OTHER` in place of the host: the address is asked for the other one.
    """
    found = []
    for rule in rules:
        response = next((one for one in rule.document["Actions"] if one["Type"] == "fixed-response"), None)
        fixed = response["FixedResponseConfig"] if response else None
        where = f"{_EVERYBODY} ={fixed['StatusCode']}" if fixed else _spread(rule, targets)
        found += [(f"{host}{_rewritten(rule)} {where}", fixed) for host in hosts(rule)]
    return found


def _rewritten(rule: Resource) -> str:
    """What the rule's transform makes of every host; rules that were kept by an earlier version have none."""
    transforms = rule.document.get("Transforms", ())
    return "".join(f">{one['HostHeaderRewriteConfig']['Rewrites'][0]['Replace']}" for one in transforms)


def hosts(rule: Resource) -> list[str]:
    """The host names that a rule is for; the default rule is for any."""
    named = [host for condition in rule.document["Conditions"] for host in condition["HostHeaderConfig"]["Values"]]
    return [host.lower() for host in named] or [ANY_HOST]


def usable(targets: Iterable[Target]) -> list[Target]:
    """The healthy ones; where there is none, all that are registered: a load balancer fails open."""
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
    return " ".join([*shown, f"{_EVERYBODY} {entries[-1][1]}"])


class RouteFiles:
    """`<folder>/<listener port>/<slot>`, each replaced atomically, and only where its content is another one now."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    def write(self) -> None:
        """Makes the files agree with the store."""
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
    # Not synced: it is derived from the store, which is, and made anew at each start.
    files.replace(path, text, mode=0o644, durable=False)
