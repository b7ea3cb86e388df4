"""How one call of an adapter is spoiled, and what has to come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.errors import CloudError, DeploymentError, LeaseHeld, LeaseLost, RouteConflict, SwitchFailed
from deployment.ports import Clock
from infrastructure.aws.session import Clients
from tests.aws_faults.conftest import Aws
from tests.aws_faults.proxy import Armed, Fault

MOST_TRIES = 10
"""Tries of one spoiled call, those of the adapter times those of its client, however long the trouble lasts."""
MOST_STARTS = 5
INJECTED: list[str] = []


@dataclass
class Scene:
    """What a call is made in: ``calm`` clients that nobody spoils, and a clock."""

    calm: Clients
    clock: Clock
    name: str


@dataclass(frozen=True)
class Act:
    """One action of an adapter, and ``right``: whether the world, and what was answered, is what was asked for."""

    do: Callable[[Clients], object]
    right: Callable[[object], bool]


@dataclass(frozen=True)
class Call:
    """An operation of AWS, and an action that makes it. ``conflict`` is what AWS says to one of two writers."""

    operation: str
    scene: Callable[[Scene], Act]
    conflict: str | None = None


def spoil(aws: Aws, call: Call, fault: Fault, act: Act, *, times: int, attempts: int) -> object:
    """Makes the call while it is spoiled; returns what it answered, or the documented error that it raised."""
    clients = aws.clients(hasty=fault is Fault.SLOW, attempts=attempts)
    proxy = aws.endpoint if call.operation in ("DescribeKeyValueStore", "GetKey", "UpdateKeys") else aws.moto
    with proxy.spoiling(Armed(call.operation, fault, times, call.conflict or "")):
        for _ in range(MOST_STARTS):
            try:
                came = act.do(clients)
            except DeploymentError as error:
                came = error
            # On a busy machine a hasty client may give up on a call before the one that is meant: it is asked for anew.
            if proxy.sprung[call.operation] or fault is not Fault.SLOW:
                break
        assert proxy.sprung[call.operation], "the fault has to happen"
        assert proxy.seen[call.operation] <= MOST_TRIES
        INJECTED.extend([call.operation] * proxy.sprung[call.operation])
    return came


def documented(error: object) -> bool:
    """Whether a caller that handles what the ports promise handles this."""
    return isinstance(error, (CloudError, SwitchFailed, RouteConflict, LeaseLost, LeaseHeld))
