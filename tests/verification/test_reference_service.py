"""The reference service: its contract, and prober and load against it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.support import IMAGES, Image, free_port, postgres, serve, valkey
from tests.service.users import ALICE, SECRET
from tests.signing_in import sign_in
from verification.contract.openapi import Contract
from verification.http.client import open_client
from verification.journeys.accounts import SmokeUser, parse_smoke_users
from verification.journeys.model import Service as Described
from verification.load.run import LoadPlan, run_load
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober

DOCUMENT = Path(__file__).resolve().parents[2] / "suites" / "contract" / "telehealth.openapi.yaml"


@pytest.fixture(scope="module")
def real_url() -> Iterator[str]:
    """The URL of the reference service 1.1.0, which runs with its own PostgreSQL and Valkey."""
    folder = Path(tempfile.mkdtemp(prefix="verification-"))
    folder.chmod(0o755)  # PostgreSQL may run as another user
    try:
        for name in ("postgres", "valkey"):
            (folder / name).mkdir()
        ignore = shutil.ignore_patterns("__pycache__")
        image = Image(Path(shutil.copytree(IMAGES / "1.1.0", folder / "1.1.0", ignore=ignore)))
        redis_port = free_port()
        with postgres(folder / "postgres") as cluster, valkey(folder / "valkey", redis_port):
            environment = {
                "DATABASE_URL": cluster.database("telehealth"),
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis_port),
                "JWT_SECRET": SECRET,
                "SEED_USERS": json.dumps([ALICE.as_json()]),
            }
            code, output = image.release(environment)
            assert code == 0, output
            with serve(image, environment, folder / "service.log") as service:
                yield f"http://api.telehealth.localhost:{service.port}"
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def alice() -> SmokeUser:
    (user,) = parse_smoke_users(json.dumps([ALICE.as_json()]))
    return user


def test_answers_of_the_reference_service_keep_the_contract(real_url: str, alice: SmokeUser) -> None:
    contract = Contract.load(DOCUMENT)
    with open_client(real_url, timeout_s=10) as client:
        headers = {"Authorization": f"Bearer {sign_in(client, alice)}"}
        body = {"patient": "P", "reason": "R", "starts_at": "2030-01-01T10:00:00Z"}
        booked = client.post("/consults", json=body, headers=headers)
        one = f"/consults/{booked.json()['id']}"
        answers = [booked, client.post("/consults", json={}, headers=headers), client.get("/consults")]
        answers += [client.get(path) for path in ("/health", "/health/database", "/health/redis")]
        answers += [client.get(path, headers=headers) for path in ("/consults?limit=1", "/consults?limit=0", one)]
        answers += [client.delete(one, headers=headers), client.get(one, headers=headers)]
        answers += [client.post("/auth/login", json={}), client.post("/auth/logout", headers=headers)]
    for answer in answers:
        contract.check(answer)
    assert [a.status_code for a in answers] == [201, 422, 401, 200, 200, 200, 200, 422, 200, 204, 404, 422, 204]


def test_prober_and_load_find_no_failure_and_clean_up(
    real_url: str, alice: SmokeUser, described: Described, tmp_path: Path
) -> None:
    config = ProberConfig(real_url, alice, described, timeout_s=10, stderr_log=str(tmp_path / "prober.log"))
    with Prober.start(config) as prober:
        plan = LoadPlan(real_url, described, (alice,), users=3, rate=30, seconds=2)
        result = run_load(plan, log=tmp_path / "load.log")
        prober.wait_for_samples(100, 30)
        assert prober.failures() == []
        assert {s.version for s in prober.samples() if s.operation == "health"} == {"1.1.0"}
    assert (result.failures, result.errors, result.cut_short) == (0, (), False)
    with open_client(real_url, timeout_s=10) as client:
        token = sign_in(client, alice)
        assert client.get("/consults", headers={"Authorization": f"Bearer {token}"}).json()["items"] == []
