"""A release that does not start leaves the previous one unchanged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.embedded_aws.harness import Endpoint, client, created, creation, outcome, source, updated

ABSENT = "arn:aws:secretsmanager:us-east-1:123456789012:secret:absent-AbCdEf"
BROKEN: dict[str, dict[str, Any]] = {
    "exits at once": {"variables": {"EXIT": "3"}, "reason": "exited with 3"},
    "health is 503": {"variables": {"HEALTH": "503"}, "reason": "answered 503"},
    "health redirects": {"variables": {"HEALTH": "302"}, "reason": "answered 302"},
    "never listens": {"web": "exec sleep 60", "reason": "nothing listens"},
    "release fails": {"release": "exit 7", "reason": "release command exited with 7"},
    "release hangs": {"release": "exec sleep 60", "reason": "took longer"},
    "unknown digest": {"image": "sha256:" + "0" * 64, "reason": "not found"},
    "unknown tag": {"image": ":no-such-tag", "reason": "failed to pull"},
    "absent secret": {"secrets": {"TOKEN": ABSENT}, "reason": "secret of TOKEN cannot be read"},
}


def broken_source(endpoint: Endpoint, case: dict[str, Any]) -> dict[str, Any]:
    built = endpoint.image("9.9.9", case.get("web", "python web.py"), case.get("release"))
    return source(case.get("image", built), case.get("secrets"), **case.get("variables", {}))


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, moto: str) -> Any:
    times = {"start_timeout_s": 3, "release_timeout_s": 1}
    made = Endpoint(tmp_path_factory.mktemp("impatient"), moto, settings=times)
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_a_failed_update_keeps_the_previous_revision(
    case: dict[str, Any], impatient: Endpoint, impatient_client: Any, steady: dict[str, Any]
) -> None:
    before = impatient.get(steady)
    configured = impatient_client.describe_service(ServiceArn=steady["ServiceArn"])["Service"]
    wanted = {"SourceConfiguration": broken_source(impatient, case)}
    quick = {"Protocol": "HTTP", "Path": "/health", "Interval": 1, "UnhealthyThreshold": 1}
    answer = impatient_client.update_service(ServiceArn=steady["ServiceArn"], HealthCheckConfiguration=quick, **wanted)
    assert answer["Service"]["Status"] == "OPERATION_IN_PROGRESS"
    arn, operation = steady["ServiceArn"], answer["OperationId"]
    assert outcome(impatient_client, arn, operation) == "ROLLBACK_SUCCEEDED"
    after = impatient_client.describe_service(ServiceArn=arn)["Service"]
    assert after["Status"] == "RUNNING"
    for member in ("SourceConfiguration", "HealthCheckConfiguration", "InstanceConfiguration"):
        assert after[member] == configured[member]
    assert impatient.get(steady)["pid"] == before["pid"]
    assert {process.pid for process in impatient.leftovers()} == {before["pid"]}, (
        "no process of the failed revision runs"
    )
    logs = list((impatient.folder / "logs").rglob(f"deployment/{operation}.log"))
    assert case["reason"] in logs[0].read_text()


@pytest.fixture(scope="module")
def impatient_client(impatient: Endpoint) -> Any:
    return client("apprunner", impatient.url)


@pytest.fixture(scope="module")
def steady(impatient: Endpoint, impatient_client: Any) -> dict[str, Any]:
    return created(impatient_client, **creation("steady", impatient.image("1.0.0", "exec python web.py")))


def test_a_failed_create_can_be_updated(apprunner: Any, endpoint: Endpoint) -> None:
    answer = apprunner.create_service(**creation("rebuilt", endpoint.image("1.0.0"), EXIT="1"))
    service = answer["Service"]
    assert outcome(apprunner, service["ServiceArn"], answer["OperationId"]) == "FAILED"
    failed = apprunner.describe_service(ServiceArn=service["ServiceArn"])["Service"]
    assert failed["Status"] == "CREATE_FAILED"
    assert endpoint.upstream(service) is None
    for refused in (apprunner.pause_service, apprunner.resume_service):
        with pytest.raises(apprunner.exceptions.InvalidStateException):
            refused(ServiceArn=service["ServiceArn"])
    assert updated(apprunner, service, SourceConfiguration=source(endpoint.image("1.0.0"), EXIT="2")) == "FAILED"
    assert apprunner.describe_service(ServiceArn=service["ServiceArn"])["Service"]["Status"] == "CREATE_FAILED"
    assert updated(apprunner, service, SourceConfiguration=source(endpoint.image("1.0.1"))) == "SUCCEEDED"
    assert endpoint.get(service)["version"] == "1.0.1"
