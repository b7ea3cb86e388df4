"""A service's life through boto3: create, update, start, pause, resume and delete, with the effects of each."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.embedded_aws.harness import Endpoint, client, created, creation, outcome, source, updated, wait_for


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
    assert now["HealthCheckConfiguration"]["Path"] == "/health", "omitted members stay unchanged"


def test_release_runs_once_per_revision_and_not_on_resume(apprunner: Any, endpoint: Endpoint) -> None:
    image = endpoint.image("1.0.0", release="echo migrated $COLOUR >> $HOME/../../../releases.txt")
    service = created(apprunner, **creation("released", image, COLOUR="amber"))
    arn = service["ServiceArn"]
    releases = endpoint.folder / "releases.txt"
    assert releases.read_text() == "migrated amber\n"
    paused = apprunner.pause_service(ServiceArn=arn)
    assert outcome(apprunner, arn, paused["OperationId"]) == "SUCCEEDED"
    assert apprunner.describe_service(ServiceArn=arn)["Service"]["Status"] == "PAUSED"
    assert endpoint.upstream(service) is None, "the host of a paused service is unknown"
    resumed = apprunner.resume_service(ServiceArn=arn)
    assert outcome(apprunner, arn, resumed["OperationId"]) == "SUCCEEDED"
    now = apprunner.describe_service(ServiceArn=arn)["Service"]
    assert (now["Status"], now["ServiceUrl"]) == ("RUNNING", service["ServiceUrl"])
    assert endpoint.get(service)["version"] == "1.0.0"
    assert releases.read_text() == "migrated amber\n"
    again = apprunner.start_deployment(ServiceArn=arn)
    assert set(again) == {"OperationId", "ResponseMetadata"}
    assert outcome(apprunner, arn, again["OperationId"]) == "SUCCEEDED"
    assert releases.read_text() == "migrated amber\n" * 2


def test_operations_are_listed_newest_first_in_pages(apprunner: Any, endpoint: Endpoint) -> None:
    service = created(apprunner, **creation("operated", endpoint.image("1.0.0")))
    arn = service["ServiceArn"]
    assert outcome(apprunner, arn, apprunner.pause_service(ServiceArn=arn)["OperationId"]) == "SUCCEEDED"
    assert outcome(apprunner, arn, apprunner.resume_service(ServiceArn=arn)["OperationId"]) == "SUCCEEDED"
    first = apprunner.list_operations(ServiceArn=arn, MaxResults=2)
    rest = apprunner.list_operations(ServiceArn=arn, MaxResults=2, NextToken=first["NextToken"])
    kinds = [operation["Type"] for page in (first, rest) for operation in page["OperationSummaryList"]]
    assert kinds == ["RESUME_SERVICE", "PAUSE_SERVICE", "CREATE_SERVICE"]
    assert "NextToken" not in rest
    newest = first["OperationSummaryList"][0]
    assert newest["TargetArn"] == arn
    assert newest["StartedAt"] <= newest["EndedAt"] == newest["UpdatedAt"]


def test_delete_frees_the_name_and_leaves_nothing(apprunner: Any, endpoint: Endpoint) -> None:
    members = creation("deleted", endpoint.image("1.0.0"))
    service = created(apprunner, **members)
    arn, pid = service["ServiceArn"], endpoint.get(service)["pid"]
    deletion = apprunner.delete_service(ServiceArn=arn)
    assert outcome(apprunner, arn, deletion["OperationId"]) == "SUCCEEDED"
    gone = apprunner.describe_service(ServiceArn=arn)["Service"]
    assert gone["Status"] == "DELETED"
    assert gone["DeletedAt"] >= gone["CreatedAt"]
    assert endpoint.upstream(service) is None
    assert pid not in {process.pid for process in endpoint.leftovers()}
    listed = [one["ServiceArn"] for one in apprunner.list_services()["ServiceSummaryList"]]
    assert arn not in listed
    assert created(apprunner, **members)["ServiceArn"] != arn


def test_services_are_listed_in_pages(apprunner: Any, endpoint: Endpoint) -> None:
    image = endpoint.image("1.0.0")
    wanted = {created(apprunner, **creation(f"listed-{number}", image))["ServiceArn"] for number in range(2)}
    seen, request = [], {"MaxResults": 1}
    while True:
        answer = apprunner.list_services(**request)
        seen += [service["ServiceArn"] for service in answer["ServiceSummaryList"]]
        if "NextToken" not in answer:
            break
        request["NextToken"] = answer["NextToken"]
    assert len(seen) == len(set(seen))
    assert wanted <= set(seen)


def test_tags(apprunner: Any, endpoint: Endpoint) -> None:
    tags = [{"Key": "team", "Value": "qa"}, {"Key": "tier", "Value": "1"}]
    arn = created(apprunner, **creation("tagged", endpoint.image("1.0.0")), Tags=tags)["ServiceArn"]
    apprunner.tag_resource(ResourceArn=arn, Tags=[{"Key": "tier", "Value": "2"}])
    apprunner.untag_resource(ResourceArn=arn, TagKeys=["team"])
    assert apprunner.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "tier", "Value": "2"}]


def test_a_custom_domain_belongs_to_one_service_only(apprunner: Any, endpoint: Endpoint) -> None:
    image = endpoint.image("1.0.0")
    first, second = (created(apprunner, **creation(f"domain-{name}", image)) for name in ("one", "two"))
    domain = {"DomainName": "shop.example.com"}
    answer = apprunner.associate_custom_domain(ServiceArn=first["ServiceArn"], **domain)
    assert answer["CustomDomain"]["Status"] == "CREATING"
    assert endpoint.get({"ServiceUrl": "www.shop.example.com"}) | {"env": {}} == endpoint.get(first) | {"env": {}}
    with pytest.raises(apprunner.exceptions.InvalidRequestException, match="already associated"):
        apprunner.associate_custom_domain(ServiceArn=second["ServiceArn"], **domain)
    described = apprunner.describe_custom_domains(ServiceArn=first["ServiceArn"])
    assert [(one["DomainName"], one["Status"]) for one in described["CustomDomains"]] == [
        ("shop.example.com", "ACTIVE")
    ]
    apprunner.disassociate_custom_domain(ServiceArn=first["ServiceArn"], **domain)
    assert endpoint.upstream({"ServiceUrl": "shop.example.com"}) is None
    with pytest.raises(apprunner.exceptions.ResourceNotFoundException):
        apprunner.disassociate_custom_domain(ServiceArn=first["ServiceArn"], **domain)
    apprunner.associate_custom_domain(ServiceArn=second["ServiceArn"], **domain)
    assert endpoint.get({"ServiceUrl": "shop.example.com"})["pid"] == endpoint.get(second)["pid"]


def test_a_tag_is_resolved_through_ecr(apprunner: Any, endpoint: Endpoint, moto: str) -> None:
    digest = endpoint.image("3.0.0")
    ecr = client("ecr", moto)
    ecr.create_repository(repositoryName="telehealth-api")
    manifest = '{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"}'
    ecr.put_image(repositoryName="telehealth-api", imageManifest=manifest, imageTag="3.0.0", imageDigest=digest)
    service = created(apprunner, **creation("by-tag", ":3.0.0"))
    assert endpoint.get(service)["version"] == "3.0.0"


def test_secrets_are_resolved_and_never_shown(apprunner: Any, endpoint: Endpoint, moto: str) -> None:
    manager = client("secretsmanager", moto)
    plain = manager.create_secret(Name="plain", SecretString="canary-4711")["ARN"]
    document = manager.create_secret(Name="document", SecretString='{"password": "canary-0815"}')["ARN"]
    secrets = {"TOKEN": plain, "PASSWORD": f"{document}:password::"}
    service = created(apprunner, **creation("secretive", endpoint.image("1.0.0"), secrets))
    seen = endpoint.get(service)["env"]
    assert (seen["TOKEN"], seen["PASSWORD"]) == ("canary-4711", "canary-0815")
    shown = apprunner.describe_service(ServiceArn=service["ServiceArn"])
    kept = [file.read_text(errors="replace") for file in endpoint.folder.rglob("*") if file.is_file()]
    assert not [text for text in (str(shown), *kept) if "canary-" in text]


def test_logs_reach_cloudwatch_under_awss_names(apprunner: Any, endpoint: Endpoint, moto: str) -> None:
    members = creation("logged", endpoint.image("1.0.0"))
    answer = apprunner.create_service(**members)
    service, logs = answer["Service"], client("logs", moto)
    group = f"/aws/apprunner/logged/{service['ServiceId']}"

    def messages(kind: str, prefix: str) -> str:
        with suppress(logs.exceptions.ResourceNotFoundException):
            found = logs.filter_log_events(logGroupName=f"{group}/{kind}", logStreamNamePrefix=prefix)
            return "\n".join(event["message"] for event in found["events"])
        return ""

    wait_for(lambda: "CREATE_SERVICE succeeded" in messages("service", "events"))
    wait_for(lambda: "is healthy" in messages("service", f"deployment/{answer['OperationId']}"))
    wait_for(lambda: "serving 1.0.0" in messages("application", "instance/"))
    local = endpoint.folder / "logs" / group[1:] / "service" / "events.log"
    assert "CREATE_SERVICE succeeded" in local.read_text()
