"""A Terraform plan given to a deployment may change only the idle colour."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.preflight.terraform_plan import belongs_to, load, objections
from tests.deployment.fakes import GREEN

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def plan(*changes: tuple[str, list[str]], **more: Any) -> dict[str, Any]:
    resources = [{"address": address, "change": {"actions": actions}} for address, actions in changes]
    return {"format_version": "1.2", "timestamp": "2026-11-25T11:50:00Z", "resource_changes": resources, **more}


def found(*changes: tuple[str, list[str]], **more: Any) -> list[str]:
    return list(objections(plan(*changes, **more), GREEN, NOW, 3600))


@pytest.mark.parametrize(
    ("address", "actions"),
    [
        ("module.vpc.aws_vpc.main", ["no-op"]),
        ("data.aws_iam_policy_document.deploy", ["read"]),
        ('module.app_runner["green"].aws_apprunner_service.main', ["update"]),
        ("module.app_runner_green.aws_apprunner_service.main", ["delete", "create"]),
        ("module.ecs.aws_ecs_service.green", ["create"]),
    ],
)
def test_plan_that_changes_only_the_idle_colour(address: str, actions: list[str]) -> None:
    assert found((address, actions)) == []


@pytest.mark.parametrize(
    ("address", "actions"),
    [
        ('module.app_runner["blue"].aws_apprunner_service.main', ["update"]),
        ("module.database.aws_db_instance.main", ["delete", "create"]),
        ("module.route53.aws_route53_record.green_and_blue", ["update"]),
        ("module.front_door.aws_cloudfront_function.evergreen", ["update"]),
        ("module.vpc.aws_subnet.main", ["forget"]),
    ],
)
def test_plan_that_changes_anything_else(address: str, actions: list[str]) -> None:
    assert found((address, actions)) == [f"{address}: {', '.join(actions)}"]


def test_failed_or_old_plan_has_an_objection() -> None:
    assert found(errored=True) == ["planning ended with an error"]
    assert found(timestamp="2026-11-25T10:00:00Z") == ["the plan is 7200 s old, the limit is 3600 s"]


def test_many_changes_are_counted() -> None:
    lines = found(*[(f"aws_subnet.s{number}", ["create"]) for number in range(12)])
    assert lines[-1] == "and 4 more changes"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": "9.0"}', '{"resource_changes": {}}'])
def test_invalid_plan_is_refused_with_the_command_to_run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(Refused, match=r"plan\.json") as caught:
        load(path)
    assert "terraform show -json" in (caught.value.hint or "")


def test_valid_plan_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan()))
    assert load(path)["format_version"] == "1.2"
    assert belongs_to('module.x["green"]', GREEN)
