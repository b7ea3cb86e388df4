"""Checks a Terraform plan, from ``terraform show -json PLANFILE``: it must show that nothing but the idle colour would change.

Only a positive proof counts. ``load`` refuses a file that does not say when the plan was made, whether it is complete and
which resources change. It also refuses parts that this version does not know, because each of them could be a change.
``objections`` refuses the plan of another environment or root module: it says nothing about this one.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema

from deployment.errors import Refused, abridged
from deployment.files import require_regular
from deployment.model import Colour
from deployment.preflight.live_service import SERVICE_TYPE, LiveService, aliases_of, texts_of
from deployment.preflight.terraform_parts import belongs_to, is_data_source, owned_by

SCHEMA_FILE = Path(__file__).with_name("terraform_plan.schema.json")
MOST_SHOWN = 8
CLOCK_TOLERANCE_S = 300
"""A plan may seem to be so many seconds younger than now: the clock of another machine made it."""
CONTENTS = frozenset({"planned_values", "prior_state", "configuration", "variables"})
"""The parts that Terraform writes into every plan; a plan that has them has the root module's resources, too."""
MAKE_ONE = "Make one: terraform plan -out=plan.bin, then terraform show -json plan.bin > plan.json."
OTHER_TOOL_HINT = (
    "Make the plan with Terraform 1.8 or newer. With OpenTofu, omit --require-clean-plan, and let a person review "
    "`tofu show plan.bin` of a plan without -target and -exclude."
)
UTF16_HINT = "PowerShell's > writes UTF-16. Use: terraform show -json plan.bin | Out-File -Encoding utf8 plan.json."


@dataclass(frozen=True)
class Owner:
    """The environment that a plan must be about: its name, and the live colour's service by name, account and region.

    ``service`` is None if the settings name no service, as those of an embedded environment; ``idle_service`` likewise.
    """

    environment: str
    service: str | None = None
    account: str | None = None
    region: str | None = None
    idle_service: str | None = None


def load(path: Path) -> Mapping[str, Any]:
    """Read the plan from a file. Raises Refused if the file does not show what the plan changes."""
    document = _parse(path)
    if not isinstance(document, dict):
        raise Refused(f"{path} is not a Terraform plan: it holds no JSON object", hint=MAKE_ONE)
    if "values" in document:
        raise Refused(f"{path} is a Terraform state, not a plan", hint=MAKE_ONE)
    if "resource_changes" not in document and "planned_values" not in document:
        raise Refused(
            f"{path} is not a Terraform plan: it has neither resource_changes nor planned_values", hint=MAKE_ONE
        )
    if "format_version" in document and not {"complete", "applyable"} & document.keys():
        raise Refused(
            f"{path} proves nothing: it has no `complete`, as a plan of OpenTofu, or of Terraform before 1.8, so that "
            "a plan of some resources (-target) looks like a plan of all",
            hint=OTHER_TOOL_HINT,
        )
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    try:
        problem = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(document))
    except RecursionError:
        raise Refused(f"{path} proves nothing: it is nested too deep", hint=MAKE_ONE) from None
    if problem is not None:
        raise Refused(f"{path} proves nothing: {_place(document, problem)}{problem.message[:200]}", hint=MAKE_ONE)
    changes = {change["address"] for change in document.get("resource_changes", ())}
    if "resource_changes" not in document and not any(_planned(document)):
        raise Refused(f"{path} proves nothing: it has no resource_changes, and plans no resource", hint=MAKE_ONE)
    if CONTENTS & document.keys() and not any([*_managed(document), *_planned(document)]):
        raise Refused(
            f"{path} proves nothing: it has no managed resource, so it is not a plan of an estate that exists",
            hint=MAKE_ONE,
        )
    if unlisted := [address for address in _planned(document) if address not in changes]:
        raise Refused(
            f"{path} proves nothing: planned_values has {unlisted[0]}, and resource_changes does not say what happens to "
            "it, as in a plan that was made with -refresh-only",
            hint=MAKE_ONE,
        )
    if _made_at(document) is None:
        raise Refused(
            f"{path} proves nothing about now: its timestamp {document['timestamp'][:40]!r} is not a time with a zone, "
            "such as 2026-11-29T12:00:00Z",
            hint=MAKE_ONE,
        )
    return document


def _planned(plan: Mapping[str, Any]) -> Iterator[str]:
    """Return the addresses of the managed resources that exist after the plan is applied."""
    modules = [plan.get("planned_values", {}).get("root_module", {})]
    while modules:
        module = modules.pop()
        modules += module.get("child_modules", ())
        yield from (one["address"] for one in module.get("resources", ()) if one.get("mode", "managed") == "managed")


def _managed(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of resource_changes that are no data sources."""
    yield from (one for one in plan.get("resource_changes", ()) if one.get("mode", "managed") == "managed")


def _made_at(plan: Mapping[str, Any]) -> datetime | None:
    """Return when the plan was made; None if its timestamp has no date, time and zone."""
    try:
        found = datetime.fromisoformat(plan["timestamp"])
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def objections(
    plan: Mapping[str, Any], idle: Colour, now: datetime, max_age_s: float, owner: Owner | None = None
) -> Sequence[str]:
    """Return why a plan from ``load`` is not clean, one line each; empty if it is. ``owner``: the environment, if it is known."""
    made_at = _made_at(plan)
    assert made_at is not None, "load refuses a plan without a time"
    lines = [] if owner is None else list(_of_another(plan, owner))
    if plan["errored"]:
        lines.append("planning ended with an error")
    if not plan["complete"]:
        lines.append("the plan is not complete: after it is applied, another plan could change more")
    age = now - made_at
    if age > timedelta(seconds=max_age_s):
        lines.append(f"the plan is {age.total_seconds():.0f} s old, the limit is {max_age_s:g} s")
    if -age > timedelta(seconds=CLOCK_TOLERANCE_S):
        lines.append(f"the plan was made {-age.total_seconds():.0f} s in the future: check the clocks")
    changes = list(_changes(plan, idle, _live(plan, owner, idle.other)))
    lines += map(abridged, changes[:MOST_SHOWN])
    if len(changes) > MOST_SHOWN:
        lines.append(f"and {len(changes) - MOST_SHOWN} more changes")
    return lines


def _of_another(plan: Mapping[str, Any], owner: Owner) -> Iterator[str]:
    """Yield why a plan does not prove that it is about this environment: a resource must be its live colour's service."""
    if owner.service is not None:
        if not any(_is_service(one, owner) for one in _managed(plan)):
            yield (
                f"no resource of the plan is the live colour's service {owner.service}, so it is not a plan of "
                f"environment {owner.environment}"
            )
        return
    variable = plan.get("variables", {}).get("environment")
    named = variable.get("value") if isinstance(variable, Mapping) else None
    if isinstance(named, str) and named != owner.environment:
        yield f"the plan's variable environment is {named[:40]!r}, so it is not a plan of environment {owner.environment}"


def _is_service(change: Mapping[str, Any], owner: Owner) -> bool:
    """Return whether a resource is, before the plan is applied, the service of this name in this account and region."""
    before = change["change"].get("before")
    if not isinstance(before, Mapping) or not SERVICE_TYPE.search(str(change.get("type", ""))):
        return False
    if owner.service not in [before.get(key) for key in ("name", "service_name")]:
        return False
    arns = [str(before.get(key)).split(":") for key in ("arn", "service_arn", "id")]
    places = {tuple(arn[3:5]) for arn in arns if arn[0] == "arn" and len(arn) > 5}
    return places <= {(owner.region, owner.account)}


def _live(plan: Mapping[str, Any], owner: Owner | None, colour: Colour) -> LiveService | None:
    """Return the live colour's service as the plan shows it; None if the settings name no service."""
    if owner is None or owner.service is None:
        return None
    states = [one["change"].get("before") for one in _managed(plan) if _is_service(one, owner)]
    values = frozenset(text for state in states for text in texts_of(state))
    aliases = frozenset(alias for state in states for alias in aliases_of(state))
    return LiveService(owner.service, colour, values, aliases, owner.idle_service)


def _changes(plan: Mapping[str, Any], idle: Colour, live: LiveService | None) -> Iterator[str]:
    """Yield a line for each change of anything but the idle colour."""
    for change in plan.get("resource_changes", ()):
        if happens := list(_happens(change)):
            line = f"{change['address']}: {', '.join(happens)}"
            if live is not None and live.includes(change):
                yield f"{line} (it is the live colour's service {live.name}, or has a part of it)"
            # A resource that moves to an address of the idle colour may be the live one.
            elif not all(owned_by(change, one, idle) for one in _addresses(change)):
                named = all(belongs_to(one, idle) for one in _addresses(change))
                yield line + f" (a resource of this type at this address is not {idle}'s alone)" * named
    for deferred in plan.get("deferred_changes", ()):
        yield f"{deferred['resource_change']['address']}: deferred, so its changes are unknown"
    for invocation in plan.get("action_invocations", ()):
        yield f"{invocation['address']}: an action runs"
    if plan.get("deferred_action_invocations"):
        yield "actions are deferred, so their effects are unknown"


def _addresses(change: Mapping[str, Any]) -> Sequence[str]:
    """Return the resource's address, and the one that it moves from if it moves."""
    return [change["address"], *([change["previous_address"]] if "previous_address" in change else [])]


def _happens(change: Mapping[str, Any]) -> Iterator[str]:
    """Yield each thing that a plan does to a resource; nothing if it leaves the resource as it is."""
    what = change["change"]
    if what["actions"] == ["no-op"]:
        if _as_json(what.get("before")) != _as_json(what.get("after")):
            yield "no-op, although its values differ before and after"
        elif _any_true(what.get("after_unknown")):
            yield "no-op, although some of its values are unknown"
    elif what["actions"] != ["read"]:
        yield from what["actions"]
    elif not is_data_source(change):
        yield "read, although it is no data source"
    if what.get("importing") is not None:
        yield "import"
    yield from (f"moved from {one}" for one in _addresses(change)[1:])


def _any_true(marks: Any) -> bool:
    """Return whether a value of after_unknown marks anything as unknown."""
    rest = [marks]
    while rest:
        one = rest.pop()
        if isinstance(one, Mapping):
            rest += one.values()
        elif isinstance(one, list):
            rest += one
        elif one is not None and one is not False:
            return True
    return False


def _parse(path: Path) -> Any:
    try:
        require_regular(path)
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"the plan {path} cannot be read: {error.strerror}", hint=MAKE_ONE) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content[:4]:
        raise Refused(f"the plan {path} is encoded in UTF-16, and UTF-8 is expected", hint=UTF16_HINT)
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise Refused(f"the plan {path} is not JSON in UTF-8", hint=MAKE_ONE) from None


def _as_json(value: Any) -> str:
    """Return the value as text: Python takes ``true`` and 1 for equal."""
    return json.dumps(value, sort_keys=True)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as an object. Raises ValueError if a name occurs twice: readers disagree about which value counts."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _place(document: Mapping[str, Any], problem: jsonschema.ValidationError) -> str:
    """Return where the problem is, with the address of the resource if it has one."""
    path = list(problem.absolute_path)
    if len(path) < 2:
        return f"{path[0]}: " if path else ""
    entry = document[str(path[0])][path[1]] if isinstance(path[1], int) else None
    address = entry.get("address") if isinstance(entry, dict) else None
    return f"{'.'.join(map(str, path))}{f' ({address})' if address else ''}: "
