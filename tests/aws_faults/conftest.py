"""moto and the embedded endpoint, each behind a proxy that injects faults, and clients with several timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from infrastructure.aws.session import Clients, Connection, Credentials, Patience, clients_for
from tests.aws.conftest import SteppedClock
from tests.aws.conftest import moto_url as moto_url  # the same server, as a fixture of this folder
from tests.aws_faults.proxy import Proxy
from tests.embedded_aws.harness import ACCOUNT, REGION, Endpoint

HASTY_S = 0.4
"""The read timeout in seconds of a client that gets a slow answer; other clients wait 15 s."""


@dataclass
class Aws:
    """Both proxies, and clients that use them."""

    moto: Proxy
    endpoint: Proxy
    made: dict[tuple[float, int], Clients]

    def clients(self, *, hasty: bool = False, attempts: int = 1) -> Clients:
        """Return clients with that many attempts; each kind is made once."""
        wanted = (HASTY_S if hasty else 15.0, attempts)
        if wanted not in self.made:
            own = dict.fromkeys(("apprunner", "cloudfront-keyvaluestore"), self.endpoint.url)
            keys = Credentials("AKIAIOSFODNN7EXAMPLE", "not-a-real-secret")
            target = Connection(REGION, ACCOUNT, credentials=keys, endpoints={"default": self.moto.url, **own})
            self.made[wanted] = clients_for(target, Patience(5.0, *wanted))
        return self.made[wanted]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove botocore's pauses between two tries; they are not under test."""

    def none(_: Any, __: Any) -> float:
        return 0.0

    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", none)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory, moto_url: str) -> Iterator[Endpoint]:
    with Endpoint(tmp_path_factory.mktemp("endpoint"), moto_url).running() as own:
        yield own


@pytest.fixture(scope="session")
def aws(moto_url: str, embedded: Endpoint) -> Iterator[Aws]:
    with Proxy(moto_url).running() as moto, Proxy(embedded.url).running() as endpoint:
        yield Aws(moto, endpoint, {})
