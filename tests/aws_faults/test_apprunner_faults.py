"""App Runner's calls, each spoiled once: what brings a release up or stops it can be asked for again, and comes right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import methodcaller
from uuid import uuid4

import pytest

from deployment.errors import CloudError, ProvisionFailed
from deployment.model import Colour, Image, Readiness, Rollout
from infrastructure.aws.apprunner.platform import AppRunnerPlatform
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
    """Two services' names, and platforms that know nothing of each other's ARNs."""

    def __init__(self, aws: Aws, endpoint: Endpoint) -> None:
        self.aws, self.endpoint = aws, endpoint
        self.names = {colour: f"f{uuid4().hex[:8]}-{colour}" for colour in Colour}
        self.calm = self.platform(aws.clients())
        request = creation(self.names[Colour.BLUE], self.image("1.0.0").digest, DEPLOY_COLOR="blue")
        aws.clients().call("apprunner", "CreateService", **request)
        wait_for(lambda: self.calm.describe(Colour.BLUE).running, 30)

    def platform(self, clients: Clients) -> AppRunnerPlatform:
        return AppRunnerPlatform(clients, self.names, scheme="http")

    def image(self, version: str) -> Image:
        digest = self.endpoint.image(version)
        return Image("telehealth-api", version, digest, version, f"{REPOSITORY}@{digest}")

    def spoiled(self, operation: str, fault: Fault, do: Callable[[AppRunnerPlatform], object]) -> object:
        """Does it while the call is spoiled once; where that raises a documented error, does it again."""
        platform = self.platform(self.aws.clients(hasty=fault is Fault.SLOW))
        armed = Armed(operation, fault, 1, "InvalidStateException")
        with self.aws.endpoint.spoiling(armed):
            try:
                came = do(platform)
            except (CloudError, ProvisionFailed):
                came = None
            assert self.aws.endpoint.sprung[operation] or fault is Fault.SLOW, "the fault has to happen"
        INJECTED.append(operation)
        return do(self.calm) if came is None else came

    def comes_up(self, operation: str, fault: Fault, image: Image) -> None:
        """However often it is asked for: in the end that very release runs."""
        rollout = self.spoiled(operation, fault, lambda platform: platform.provision(Colour.GREEN, image))
        assert isinstance(rollout, Rollout)

        def ended() -> Readiness | None:
            found = self.calm.progress(rollout).readiness
            return None if found is Readiness.NOT_YET else found

        assert wait_for(ended, 40) is Readiness.READY
        service = self.calm.describe(Colour.GREEN)
        assert (service.running, service.digest) == (True, image.digest)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CONFLICT])
def test_each_change_of_a_service_survives_a_fault(aws: Aws, embedded: Endpoint, fault: Fault) -> None:
    """Created, updated, started anew, paused and resumed."""
    estate = Estate(aws, embedded)
    for operation, version in (("CreateService", "1.1.0"), ("UpdateService", "1.2.0"), ("StartDeployment", "1.2.0")):
        estate.comes_up(operation, fault, estate.image(version))
    estate.spoiled("PauseService", fault, lambda platform: platform.retire(Colour.GREEN) or "nothing to stop")
    wait_for(lambda: estate.calm.stopped(Colour.GREEN).readiness is Readiness.READY, 30)
    estate.comes_up("ResumeService", fault, estate.image("1.1.0"))
    assert INJECTED[-5:] == ["CreateService", "UpdateService", "StartDeployment", "PauseService", "ResumeService"]
    assert estate.calm.describe(Colour.BLUE).running, "the other colour has nothing to do with it"


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.CONFLICT])
def test_each_reading_survives_a_fault(aws: Aws, embedded: Endpoint, fault: Fault) -> None:
    """What is read is not changed by a reading that failed."""
    estate = Estate(aws, embedded)
    for operation, method in READS.items():
        reading = methodcaller(method, Colour.BLUE)
        assert estate.spoiled(operation, fault, reading) == reading(estate.calm)


def test_change_refused_for_a_while_is_made_afterwards(aws: Aws, embedded: Endpoint) -> None:
    """RUNNING when it was read, busy when it was changed: maintenance came in between, and is waited out."""
    estate = Estate(aws, embedded)
    release = estate.image("1.1.0")
    estate.comes_up("CreateService", Fault.THROTTLED, release)
    later = estate.image("1.2.0")
    estate.comes_up("UpdateService", Fault.CONFLICT, later)
    assert estate.calm.describe(Colour.GREEN).digest == later.digest, "and nothing of the first one is left"


def test_operation_that_ends_rolled_back_is_stuck(aws: Aws, embedded: Endpoint) -> None:
    """The old release is RUNNING again, as if nothing had happened: only the operation itself says so."""
    estate = Estate(aws, embedded)
    digest = embedded.image("1.1.0", "python -c raise(SystemExit(7))")
    bad = Image("telehealth-api", "1.1.0", digest, "1.1.0", f"{REPOSITORY}@{digest}")
    rollout = estate.calm.provision(Colour.BLUE, bad)

    def ended() -> str | None:
        found = estate.calm.progress(rollout)
        return None if found.readiness is Readiness.NOT_YET else found.readiness.name

    assert wait_for(ended, 40) == "STUCK"
    wait_for(lambda: estate.calm.describe(Colour.BLUE).status == "RUNNING", 30)
    assert estate.calm.progress(rollout).readiness is Readiness.STUCK
    assert estate.calm.describe(Colour.BLUE).digest != digest
