"""``checks --promote``: makes an advisory check required; a file in YAML is edited in one place, and keeps its layout and comments."""

from __future__ import annotations

import copy
import linecache
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from deployment.errors import Refused
from deployment.files import replace_file
from deployment.settings import Settings
from scripts.commands.checks.collected import ADVISORY, Listed
from verification.declarative.checks import SUFFIXES
from verification.declarative.exemptions import REQUIRED
from verification.declarative.placeholder_rules import nearest
from verification.declarative.source import parse, read_bytes

BOM = "\ufeff"


def run(settings: Settings, wanted: str, listed: Sequence[Listed]) -> int:
    """Promote the check ``wanted`` and return 0. Raises Refused if it is unknown or not advisory, or if its file cannot be edited."""
    check = _find(wanted, listed)
    rule = settings.rule(check.gate)
    if not check.own:
        raise Refused(
            f"{check.check} is advisory because its gate {check.gate} is not required",
            hint=f"Write required = true below [gates.{check.gate}] in deployment.toml.",
        )
    if check.severity != ADVISORY:
        what = "is required already" if check.severity == REQUIRED else f"is skipped until {check.until}"
        raise Refused(f"{check.check} {what}", hint="`deploy.py checks` lists the severity of each check.")
    file, _, name = check.check.partition("[")[0].partition("::")
    path = (settings.project.root / file).resolve()
    if path.suffix in SUFFIXES:
        line = _edit(path, file, name)
        click.echo(f"{file}:{line}: severity is {REQUIRED} now")
    else:
        place, _, number = check.place.rpartition(":")
        click.echo(f"{place}:{number}: delete this marker:\n{linecache.getline(str(path), int(number)).rstrip()}")
    decides = "the check counts" if rule.required else "the check decides nothing, because this gate is not required"
    click.echo(f"Then {decides} in gate {check.gate} from the next run on; raise min_checks if it must not get lost.")
    return 0


def _find(wanted: str, listed: Sequence[Listed]) -> Listed:
    named = [one for one in listed if wanted in (one.check, one.check.partition("[")[0])]
    if not named:
        known = [one.check for one in listed]
        raise Refused(
            f"there is no check {wanted!r}{nearest(wanted, known)}",
            hint="`deploy.py checks` lists the ids of all checks.",
        )
    return next((one for one in named if one.severity == ADVISORY), named[0])


def _edit(path: Path, shown: str, name: str) -> int:
    """Write ``required`` where the check says ``advisory``; return the line. Raises Refused."""
    data = read_bytes(path, shown)
    text = data.decode("utf-8-sig")
    node = _severity(text, name)
    by_hand = Refused(
        f"{shown}: the severity of {name!r} is not written in the check itself, but in an anchor or a merged mapping",
        hint=f"Edit it by hand: severity: {REQUIRED}.",
    )
    if node is None:
        raise by_hand
    start, end = node.start_mark.index, node.end_mark.index
    changed = text[:start] + text[start:end].replace(ADVISORY, REQUIRED) + text[end:]
    expected = copy.deepcopy(parse(data, shown).value)
    next(one for one in expected["checks"] if one["name"] == name)["severity"] = REQUIRED
    if parse(changed.encode(), shown).value != expected:  # other checks would change as well
        raise by_hand
    bom = BOM if data.startswith(BOM.encode()) else ""
    try:
        replace_file(path, bom + changed, mode=path.stat().st_mode & 0o777)
    except OSError as error:
        raise Refused(f"{shown} cannot be written: {error.strerror}") from None
    return int(node.start_mark.line) + 1


def _severity(text: str, name: str) -> yaml.ScalarNode | None:
    """Return the node of a check's severity; None if the check does not have it itself."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    root = yaml.compose(text, Loader=loader)
    for check in _inner(root, "checks").value:
        if isinstance(check, yaml.MappingNode) and _inner(check, "name").value == name:
            found = _inner(check, "severity")
            return found if isinstance(found, yaml.ScalarNode) and found.value == ADVISORY else None
    return None


def _inner(mapping: Any, key: str) -> Any:
    """Return the node of a key; an empty node if the mapping does not have it."""
    return next((value for one, value in mapping.value if one.value == key), yaml.Node("", (), None, None))
