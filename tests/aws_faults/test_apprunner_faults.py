"""One fault in each of App Runner's calls: starting or stopping a release can be repeated until it succeeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import methodcaller
from uuid import uuid4

import pytest

from deployment.clock import SystemClock
from deployment.errors import CloudError, ProvisionFailed
from deployment.model import Colour, Image, Readiness, Rollout
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.session import Clients
from tests.aws_faults.conftest import Aws
from tests.aws_faults.proxy import Armed, Fault
from tests.embedded_aws.harness import REPOSITORY, Endpoint, creation, wait_for

READS = {"ListServices": "describe", "DescribeService": "describe", "ListOperations": "stopped"}
INJECTED: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _counted() -> Iterator[None]:
    yield
    print(f"\nfaults injected: {len(INJECTED)} into {len(set(INJECTED))} calls of App Runner")


class Estate:
    """The names of two services, and platforms that do not share their ARNs."""

    def __init__(self, aws: Aws, endpoint: Endpoint) -> None:
        self.aws, self.endpoint = aws, endpoint
        self.names = {colour: f"f{uuid4().hex[:8]}-{colour}" for colour in Colour}
        self.clean = self.platform(aws.clients())
        request = creation(self.names[Colour.BLUE], self.image("1.0.0").digest, DEPLOY_COLOR="blue")
        aws.clients().call("apprunner", "CreateService", **request)
        wait_for(lambda: self.clean.describe(Colour.BLUE).running, 30)

    def platform(self, clients: Clients) -> AppRunnerPlatform:
        return AppRunnerPlatform(clients, self.names, DrainWindow(1.0, SystemClock()), scheme="http")

    def image(self, version: str) -> Image:
        digest = self.endpoint.image(version)
        return Image("telehealth-api", version, digest, version, f"{REPOSITORY}@{digest}")

    def with_fault(self, operation: str, fault: Fault, do: Callable[[AppRunnerPlatform], object]) -> object:
        """Act with one fault in the call; if that raises a documented error, act again without a fault."""
        platform = self.platform(self.aws.clients(hasty=fault is Fault.SLOW))
        armed = Armed(operation, fault, 1, "InvalidStateException")
        with self.aws.endpoint.injecting(armed):
            try:
                result = do(platform)
            except (CloudError, ProvisionFailed):
                result = None
            assert self.aws.endpoint.injected[operation] or fault is Fault.SLOW, "the fault was not injected"
        INJECTED.append(operation)
        return do(self.clean) if result is None else result

    def comes_up(self, operation: str, fault: Fault, image: Image) -> None:
        """Provision the image with one fault, and check that exactly this release runs in the end."""
        rollout = self.with_fault(operation, fault, lambda platform: platform.provision(Colour.GREEN, image))
        assert isinstance(rollout, Rollout)

        def ended() -> Readiness | None:
            found = self.clean.progress(rollout).readiness
            return None if found is Readiness.NOT_YET else found

        assert wait_for(ended, 40) is Readiness.READY
        service = self.clean.describe(Colour.GREEN)
        assert (service.running, service.digest) == (True, image.digest)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=() if fault in (Fault.FAILED, Fault.RESET_AFTER) else pytest.mark.soak, id=fault)
        for fault in Fault
        if fault is not Fault.CONFLICT
    ],
)
def test_each_change_of_a_service_survives_a_fault(aws: Aws, embedded: Endpoint, fault: Fault) -> None:
    """The service is created, updated, started again, paused and resumed."""
    estate = Estate(aws, embedded)
    for operation, version in (("CreateService", "1.1.0"), ("UpdateService", "1.2.0"), ("StartDeployment", "1.2.0")):
        estate.comes_up(operation, fault, estate.image(version))
    estate.with_fault("PauseService", fault, lambda platform: platform.retire(Colour.GREEN) or "not running")
    wait_for(lambda: estate.clean.stopped(Colour.GREEN).readiness is Readiness.READY, 30)
    estate.comes_up("ResumeService", fault, estate.image("1.1.0"))
    assert INJECTED[-5:] == ["CreateService", "UpdateService", "StartDeployment", "PauseService", "ResumeService"]
    assert estate.clean.describe(Colour.BLUE).running, "the other colour is unchanged"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CONFLICT])
def test_each_read_survives_a_fault(aws: Aws, embedded: Endpoint, fault: Fault) -> None:
    """A failed read changes nothing."""
    estate = Estate(aws, embedded)
    for operation, method in READS.items():
        reading = methodcaller(method, Colour.BLUE)
        assert estate.with_fault(operation, fault, reading) == reading(estate.clean)


def test_change_refused_during_maintenance_is_made_later(aws: Aws, embedded: Endpoint) -> None:
    """The service was RUNNING when it was read and busy when it was changed: the platform waits for maintenance to end."""
    estate = Estate(aws, embedded)
    release = estate.image("1.1.0")
    estate.comes_up("CreateService", Fault.THROTTLED, release)
    later = estate.image("1.2.0")
    estate.comes_up("UpdateService", Fault.CONFLICT, later)
    assert estate.clean.describe(Colour.GREEN).digest == later.digest, "the first release is replaced"


def test_operation_that_ends_rolled_back_is_stuck(aws: Aws, embedded: Endpoint) -> None:
    """The old release is RUNNING again, as if nothing had happened: only the operation shows the rollback."""
    estate = Estate(aws, embedded)
    digest = embedded.image("1.1.0", "python -c raise(SystemExit(7))")
    bad = Image("telehealth-api", "1.1.0", digest, "1.1.0", f"{REPOSITORY}@{digest}")
    rollout = estate.clean.provision(Colour.BLUE, bad)

    def ended() -> str | None:
        found = estate.clean.progress(rollout)
        return None if found.readiness is Readiness.NOT_YET else found.readiness.name

    assert wait_for(ended, 40) == "STUCK"
    wait_for(lambda: estate.clean.describe(Colour.BLUE).status == "RUNNING", 30)
    assert estate.clean.progress(rollout).readiness is Readiness.STUCK
    assert estate.clean.describe(Colour.BLUE).digest != digest
