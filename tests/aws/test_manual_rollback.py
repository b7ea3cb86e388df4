"""docs/roll-back-by-hand.md on ECS: its commands, line by line, against moto; then the tool reads the result."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from deployment.model import Colour
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients
from tests.aws.conftest import SteppedClock
from tests.aws.estates import IDENTIFIERS, ecs, zone

Shell = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]
CLI = """
import sys
sys.path.insert(0, {root!r})
import botocore.session
from botocore import xform_name
from infrastructure.aws.session import Connection, Credentials, clients_for
from tests.docs.aws_cli import parse, show
service, operation, *options = sys.argv[1:]
model = botocore.session.Session().get_service_model(service)
name = {{xform_name(name, "-"): name for name in model.operation_names}}[operation]
members = model.operation_model(name).input_shape.members
given, query, output = parse(options, {{xform_name(one, "-"): (one, members[one]) for one in members}})
clients = clients_for(Connection("us-east-1", "123456789012", None, Credentials("a", "b"), {{"default": {moto!r}}}))
answer = clients.call(service, name, **given)
show({{key: found for key, found in answer.items() if key != "ResponseMetadata"}}, query, output)
"""


def blocks(heading: str) -> list[str]:
    """Return the commands under a heading, without the first block's example values."""
    text = (ROOT / "docs" / "roll-back-by-hand.md").read_text(encoding="utf-8")
    section = re.search(rf"^### {heading}$(.*?)(?=^##|^To end)", text, flags=re.MULTILINE | re.DOTALL)
    assert section is not None, heading
    found = re.findall(r"```text\n(.*?)```", section[1], flags=re.DOTALL)
    return [re.sub(r"^export .*\n", "", block, flags=re.MULTILINE) for block in found]


@pytest.fixture
def shell(tmp_path: Path, moto_url: str) -> Shell:
    """Run commands as a person would; `aws` gets its answers from moto."""
    (tmp_path / "cli.py").write_text(CLI.format(root=str(ROOT), moto=moto_url))
    (tmp_path / "aws").write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path / "cli.py"} "$@"\n')
    (tmp_path / "aws").chmod(0o755)

    def run(commands: str, **values: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        ran = subprocess.run(
            ["bash", "-ec", commands],
            cwd=tmp_path,
            env={**clean, **values, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def test_rollback_behind_a_load_balancer(shell: Shell, clients: Clients, clock: SteppedClock) -> None:
    estate = ecs(clients, f"h{uuid4().hex[:12]}")
    rule = clients.call("elbv2", "DescribeTargetGroups", TargetGroupArns=[estate.groups[Colour.BLUE]])
    balancer = rule["TargetGroups"][0]["LoadBalancerArns"][0]
    listener = clients.call("elbv2", "DescribeListeners", LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"]
    rules = clients.call("elbv2", "DescribeRules", ListenerArn=listener)["Rules"]
    arn = next(one["RuleArn"] for one in rules if not one["IsDefault"])
    router = AlbRouter(clients, arn, estate.groups, clock)
    router.set(router.observe(), {Colour.BLUE: 0, Colour.GREEN: 100}, {}, token=3)
    values = {
        "RULE": arn,
        "BACK_GROUP": estate.groups[Colour.BLUE],
        "AWAY_GROUP": estate.groups[Colour.GREEN],
        "CLUSTER": estate.cluster,
        "SERVICE": estate.services[Colour.BLUE],
    }
    said = "".join(shell(block, **values) for block in blocks("Behind a load balancer"))
    assert '"healthy"' in said
    now = router.observe()
    assert (now.live, now.weights[Colour.BLUE], now.generation) == (Colour.BLUE, 100, 1)


def test_rollback_with_route_53(shell: Shell, clients: Clients, clock: SteppedClock, tmp_path: Path) -> None:
    name = f"h{uuid4().hex[:12]}"
    hosted = zone(clients, name)
    router = Route53Router(clients, hosted, f"api.{name}.example", IDENTIFIERS, [], clock)
    router.set(router.observe(), {Colour.BLUE: 0, Colour.GREEN: 100}, {}, token=3)
    look, switch = (block for block in blocks("With Route 53") if block.strip())
    values = {"ZONE": hosted, "NAME": f"api.{name}.example"}
    shell(look, **values)
    batch = json.loads((tmp_path / "batch.json").read_text())
    assert len(batch["Changes"]) == 2
    for change in batch["Changes"]:
        change["ResourceRecordSet"]["Weight"] = 100 if change["ResourceRecordSet"]["SetIdentifier"] == "blue" else 0
    (tmp_path / "batch.json").write_text(json.dumps(batch))
    shell(switch, **values)
    now = router.observe()
    assert (now.live, now.generation, now.fence) == (Colour.BLUE, 1, 3)
