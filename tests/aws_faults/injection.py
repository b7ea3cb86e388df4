"""The injection of a fault into one call of an adapter, and the check of the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deployment.errors import CloudError, DeploymentError, LeaseHeld, LeaseLost, RouteConflict, SwitchFailed
from deployment.ports import Clock
from infrastructure.aws.session import Clients
from tests.aws_faults.conftest import Aws
from tests.aws_faults.proxy import Armed, Fault

MOST_TRIES = 10
"""The most tries of one call with a fault: those of the adapter times those of its client, even if the fault lasts."""
MOST_STARTS = 5
INJECTED: list[str] = []


@dataclass
class Scene:
    """The surroundings of a call: ``clean`` clients without faults, a clock and a unique name."""

    clean: Clients
    clock: Clock
    name: str


@dataclass(frozen=True)
class Act:
    """One action of an adapter; ``right`` tells whether the result, and the state on AWS, are as requested."""

    do: Callable[[Clients], object]
    right: Callable[[object], bool]


@dataclass(frozen=True)
class Call:
    """An operation of AWS, and an action that calls it. ``conflict`` is AWS's error code for the second of two writers."""

    operation: str
    scene: Callable[[Scene], Act]
    conflict: str | None = None


def inject(aws: Aws, call: Call, fault: Fault, act: Act, *, times: int, attempts: int) -> object:
    """Make the call with the fault; return its result, or the documented error that it raised."""
    clients = aws.clients(hasty=fault is Fault.SLOW, attempts=attempts)
    proxy = aws.endpoint if call.operation in ("DescribeKeyValueStore", "GetKey", "UpdateKeys") else aws.moto
    with proxy.injecting(Armed(call.operation, fault, times, call.conflict or "")):
        for _ in range(MOST_STARTS):
            try:
                result = act.do(clients)
            except DeploymentError as error:
                result = error
            # On a busy machine a hasty client may give up on a call before the one with the fault: the action is repeated.
            if proxy.injected[call.operation] or fault is not Fault.SLOW:
                break
        assert proxy.injected[call.operation], "the fault was not injected"
        assert proxy.seen[call.operation] <= MOST_TRIES
        INJECTED.extend([call.operation] * proxy.injected[call.operation])
    return result


def documented(error: object) -> bool:
    """Return whether the ports document this error."""
    return isinstance(error, (CloudError, SwitchFailed, RouteConflict, LeaseLost, LeaseHeld))
