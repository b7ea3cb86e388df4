"""A service's life through boto3: create, update, start, pause, resume, delete, and what each leaves behind."""

from __future__ import annotations

from typing import Any

from tests.embedded_aws.harness import Endpoint, created, creation, outcome, source, updated


def test_create_runs_the_image(apprunner: Any, endpoint: Endpoint) -> None:
    answer = apprunner.create_service(**creation("created", endpoint.image("1.0.0"), NODE_ENV="production"))
    service = answer["Service"]
    assert service["Status"] == "OPERATION_IN_PROGRESS"
    assert outcome(apprunner, service["ServiceArn"], answer["OperationId"]) == "SUCCEEDED"
    service = apprunner.describe_service(ServiceArn=service["ServiceArn"])["Service"]
    assert service["Status"] == "RUNNING"
    assert service["ServiceUrl"].endswith(".us-east-1.awsapprunner.localhost:41003")
    seen = endpoint.get(service)
    assert seen["version"] == "1.0.0"
    assert set(seen["env"]) - {"PWD", "SHLVL", "OLDPWD", "_", "LC_CTYPE"} == {
        "PATH",
        "HOME",
        "LANG",
        "PORT",
        "NODE_ENV",
    }


def test_update_replaces_the_instance(apprunner: Any, endpoint: Endpoint) -> None:
    service = created(apprunner, **creation("updated", endpoint.image("1.0.0"), COLOUR="blue"))
    before = endpoint.get(service)["pid"]
    assert updated(apprunner, service, SourceConfiguration=source(endpoint.image("1.1.0"))) == "SUCCEEDED"
    after = endpoint.get(service)
    assert (after["version"], "COLOUR" in after["env"]) == ("1.1.0", False)
    assert before not in {process.pid for process in endpoint.leftovers()}
    now = apprunner.describe_service(ServiceArn=service["ServiceArn"])["Service"]
    assert now["HealthCheckConfiguration"]["Path"] == "/health", "what an update omits stays"
