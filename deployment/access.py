"""Access control: compares the caller that AWS reports with the settings' lists of principals."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from deployment.errors import NotPermitted
from deployment.model import Caller, Colour
from deployment.ports import Permissions


class Duty(StrEnum):
    """What a person or a pipeline can be allowed to do. The values are the settings' keys."""

    DEPLOY = "deploy"  # bring a release up and verify it
    PROMOTE = "promote"  # move traffic to it
    ROLLBACK = "rollback"  # undo a promotion
    WAIVE = "waive"  # let a promotion stand without one of its gates
    APPROVE = "approve"  # approve another principal's promotion


DEPLOYMENT = (Duty.DEPLOY, Duty.PROMOTE)
"""The duties that a deploying run needs: it promotes by itself."""
RECOVERING = (Duty.DEPLOY, Duty.ROLLBACK)
"""The duties of which one is enough to recover a dead run or to break its lock."""

# The ARN of a role session has the role's name only; the path in the role's own ARN is not part of it.
_SESSION = re.compile(r"arn:([\w-]+):sts::(\d+):assumed-role/([^/]+)/[^/]+")
_ROLE = re.compile(r"arn:([\w-]+):iam::(\d+):role/(?:.*/)?([^/]+)")


@dataclass(frozen=True)
class Access:
    """The lists of one environment: ``lists`` maps a duty to its principals, ``places`` to the list's place in the
    settings.

    A duty without a list is allowed to every caller.
    """

    lists: Mapping[Duty, Sequence[str]] = field(default_factory=dict)
    places: Mapping[Duty, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Admission:
    """A caller who was admitted by the lists, and by AWS as far as AWS could be asked.

    ``unchecked`` says what could not be asked.
    """

    caller: Caller
    duties: Sequence[Duty]
    unchecked: str | None = None


def read(document: Mapping[str, Any], environment: str) -> Access:
    """Return the lists of ``[access]``; a list in ``[environments.NAME.access]`` replaces the general one."""
    lists: dict[Duty, Sequence[str]] = {}
    places: dict[Duty, str] = {}
    own = document["environments"][environment].get("access", {})
    for place, table in (("access", document.get("access", {})), (f"environments.{environment}.access", own)):
        for name, principals in table.items():
            lists[Duty(name)], places[Duty(name)] = tuple(principals), f"{place}.{name}"
    return Access(lists, places)


def role_of(arn: str) -> str | None:
    """Return the ARN, without its path, of the role that this session belongs to; None if the ARN is not a role session's."""
    session = _SESSION.fullmatch(arn)
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}" if session else None


def listed(arn: str, principals: Sequence[str]) -> bool:
    """Return whether a principal matches this caller: by its ARN, by its role's ARN, or by a pattern in which ``*`` matches any text."""
    names = {arn, role_of(arn)} - {None}
    for principal in principals:
        role = _ROLE.fullmatch(principal)
        plain = f"arn:{role[1]}:iam::{role[2]}:role/{role[3]}" if role and "*" not in principal else principal
        pattern = ".*".join(map(re.escape, plain.split("*")))
        if principal in names or any(re.fullmatch(pattern, str(name)) for name in names):
            return True
    return False


def permits(access: Access, duty: Duty, arn: str) -> bool:
    """Return whether the lists allow this caller. An empty list allows no caller."""
    return duty not in access.lists or listed(arn, access.lists[duty])


def demand(access: Access, duties: Sequence[Duty], caller: Caller) -> None:
    """Raise NotPermitted, naming caller, duty and list, unless the lists allow the caller every duty."""
    for duty in duties:
        if not permits(access, duty, caller.arn):
            raise NotPermitted(
                f"{caller.arn} may not {duty}: it is not on the list {access.places[duty]} of deployment.toml",
                hint="Use credentials of a principal on that list, or add this principal to it.",
            )


def demand_any(access: Access, duties: Sequence[Duty], caller: Caller) -> None:
    """Raise NotPermitted unless the lists allow the caller at least one of the duties."""
    if not any(permits(access, duty, caller.arn) for duty in duties):
        demand(access, duties, caller)


def admit(
    access: Access,
    duties: Sequence[Duty],
    caller: Caller,
    permissions: Permissions | None,
    target: Colour | None = None,
) -> Admission:
    """Check the lists first and AWS second. Raises NotPermitted, naming every right that AWS says is missing.

    ``target`` is the only colour that is changed.
    """
    demand(access, duties, caller)
    if permissions is None:
        return Admission(caller, duties, "this environment cannot check the caller's rights on AWS")
    rights = permissions.missing(caller, [duty.value for duty in duties], target)
    if rights.missing:
        raise NotPermitted(
            f"{caller.arn} lacks rights on AWS{f' for {target}' if target else ''}: {', '.join(rights.missing)}",
            hint="Add these rights to the policies of its role; nothing was touched.",
        )
    return Admission(caller, duties, rights.unchecked)
