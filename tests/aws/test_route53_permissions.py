"""The router on Route 53 under the policies of the roles that Terraform renders: moto answers, the policies decide."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from deployment.errors import CloudDenied
from deployment.model import Colour
from infrastructure.aws.route53.health_checks import Route53HealthChecks
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from tests.aws.conftest import ACCOUNT, REGION, SteppedClock
from tests.aws.estates import IDENTIFIERS, zone
from tests.permissions import table
from tests.permissions.calls import Place
from tests.permissions.enforcement import Enforcement, actions, calls
from tests.permissions.policies import Policy
from tests.permissions.rendered import policies
from tests.terraform.conftest import WHEELS
from tests.terraform.stub import core

GREEN = {Colour.BLUE: 0, Colour.GREEN: 100}
ARN = "arn:aws:{}:us-east-1:123456789012:{}"
NAMES = {"blue": "api-blue", "green": "api-green"}


def variables(domain: str, hosted_zone: str, health_check: str) -> Mapping[str, Any]:
    """Return the variables of the module ``iam`` for an estate on ECS whose router is Route 53."""
    secret = ARN.format("secretsmanager", "secret:x-AbCdEf")
    return {
        "name": "production-telehealth",
        "environment": "production",
        "account": ACCOUNT,
        "partition": "aws",
        "region": REGION,
        "platform": "ecs",
        "router": "route53",
        "domain_name": domain,
        "service_arns": {colour: ARN.format("ecs", f"service/main/{name}") for colour, name in NAMES.items()},
        "service_names": NAMES,
        "cluster_arn": ARN.format("ecs", "cluster/main"),
        "shared_arns": [],
        "route_arns": [f"arn:aws:route53:::hostedzone/{hosted_zone}"],
        "repository_arn": ARN.format("ecr", "repository/api"),
        "enhanced_scanning": False,
        "passed_role_arns": [f"arn:aws:iam::{ACCOUNT}:role/task"],
        "log_group_arns": [ARN.format("logs", "log-group:/ecs/api:*")],
        "health_check_arns": [f"arn:aws:route53:::healthcheck/{health_check}"],
        "lease_table_arn": ARN.format("dynamodb", "table/locks"),
        "audit_bucket_arn": "arn:aws:s3:::audit",
        "secret_arns": [secret],
        "smoke_users_secret_arn": secret,
        "signing_key_secret_arn": secret,
        "public_key_secret_arn": secret,
        "checked_secret_arns": [],
        "topic_arns": [ARN.format("sns", "topic")],
        "kms_key_arns": [ARN.format("kms", "key/1")],
        "github_repository": None,
        "github_ids": None,
        "github_oidc_provider_arn": None,
        "operators": [],
    }


class Scene:
    """A hosted zone and a health check in moto, and the policies of each role."""

    def __init__(self, clients: Clients, moto: str, folder: Path) -> None:
        self.name = f"p{uuid4().hex[:12]}"
        self.domain = f"api.{self.name}.example"
        self.zone = zone(clients, self.name)
        config = {"Type": "HTTPS", "FullyQualifiedDomainName": self.domain}
        made = clients.call("route53", "CreateHealthCheck", CallerReference=self.name, HealthCheckConfig=config)
        self.check = str(made["HealthCheck"]["Id"])
        self._moto, self._folder = moto, folder
        with core.providers(folder / "providers") as stubs:
            own = variables(self.domain, self.zone, self.check)
            self._policies: Mapping[str, list[Policy]] = policies(folder, stubs, own)

    def as_role(self, role: str) -> tuple[Clients, Path]:
        """Return the clients of a role, and the log of its calls."""
        log = self._folder / f"{role}-{uuid4().hex[:6]}.jsonl"
        target = Connection(REGION, ACCOUNT, credentials=Credentials("a", "b"), endpoints={"default": self._moto})
        clients = clients_for(target)
        place = Place(REGION, ACCOUNT, ARN.format("kms", "key/1"), "main")
        Enforcement(place, self._policies[role], log).enforce(clients)
        return clients, log

    def router(self, clients: Clients, record: str | None = None) -> Route53Router:
        return Route53Router(clients, self.zone, record or self.domain, IDENTIFIERS, [], SteppedClock())


@pytest.fixture(scope="module")
def scene(clients: Clients, moto_url: str, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    missing = [name for name in WHEELS if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no wheel of Terraform's core for this platform ({', '.join(missing)})")
    folder = tmp_path_factory.mktemp("roles")
    (folder / "providers").mkdir()
    return Scene(clients, moto_url, folder)


@pytest.mark.parametrize("role", ["rollback", "release", "deploy-blue", "deploy-green"])
def test_roles_that_switch_can_switch(scene: Scene, role: str) -> None:
    """They read, write and follow a change of the live records, and make the calls of the documented table."""
    clients, log = scene.as_role(role)
    router = scene.router(clients)
    seen = router.observe()
    written = router.set(
        seen, GREEN if seen.live is Colour.BLUE else {Colour.BLUE: 100, Colour.GREEN: 0}, {}, seen.fence + 1
    )
    router.spread(written.live, written.generation)
    lines = calls(log)
    assert actions(lines, denied=True) == []
    assert set(actions(lines)) == {*table.READ_RECORDS, *table.WRITE_RECORDS}


def test_no_role_writes_another_record(scene: Scene) -> None:
    """The zone also holds other records of the team."""
    for role in ("rollback", "release"):
        clients, _ = scene.as_role(role)
        record = {
            "Name": f"www.{scene.name}.example",
            "Type": "A",
            "TTL": 60,
            "ResourceRecords": [{"Value": "192.0.2.9"}],
        }
        batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
        with pytest.raises(CloudDenied, match="ChangeResourceRecordSets"):
            clients.call("route53", "ChangeResourceRecordSets", HostedZoneId=scene.zone, ChangeBatch=batch)


def test_plan_role_reads_only(scene: Scene) -> None:
    clients, log = scene.as_role("plan")
    router = scene.router(clients)
    seen = router.observe()
    with pytest.raises(CloudDenied):
        router.set(seen, GREEN, {}, seen.fence + 1)
    assert router.observe().generation == seen.generation
    assert actions(calls(log), denied=True) == ["route53:ChangeResourceRecordSets"]


@pytest.mark.parametrize("role", ["plan", "release"])
def test_roles_that_watch_read_the_health_check(scene: Scene, role: str) -> None:
    clients, log = scene.as_role(role)
    Route53HealthChecks(clients, [scene.check]).read(Colour.BLUE)
    assert actions(calls(log)) == ["route53:GetHealthCheckStatus"]
