"""A Terraform plan given to a deployment may change only the idle colour."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployment.errors import Refused
from deployment.preflight.terraform_parts import belongs_to
from deployment.preflight.terraform_plan import Owner, load, objections
from tests.deployment.fakes import GREEN

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def plan(*changes: tuple[str, list[str]], **more: Any) -> dict[str, Any]:
    resources = [{"address": address, "change": {"actions": actions}} for address, actions in changes]
    whole = {"complete": True, "errored": False, "timestamp": "2026-11-25T11:50:00Z"}
    return {"format_version": "1.2", **whole, "resource_changes": resources, **more}


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
        ('module.blue_green.aws_ecs_service.this["green"]', ["update"]),
        ('module.shop-blue-green["eu"].aws_ecs_service.green', ["update"]),
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
        ("module.blue_green.aws_lb_listener.main", ["update"]),
        ('module.blue_green.aws_ecs_service.this["blue"]', ["update"]),
        ("module.ecs.aws_ecs_service.blue_green", ["update"]),
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
    assert len(lines) == 9


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "null", "12", '{"format_version": "9.0"}', '{"resource_changes": {}}']
)
def test_invalid_plan_is_refused_with_the_command_to_run(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(Refused, match=r"plan\.json") as caught:
        load(path)
    assert "terraform show -json" in (caught.value.hint or "")


@pytest.mark.parametrize("also_missing", [[], ["timestamp"], ["errored", "timestamp"]])
def test_plan_of_opentofu_is_refused_with_a_remedy_that_helps(tmp_path: Path, also_missing: list[str]) -> None:
    """OpenTofu writes neither complete nor applyable, so a plan of a part (-target) looks like a whole one."""
    path = tmp_path / "plan.json"
    left = {key: value for key, value in plan().items() if key not in ("complete", "applyable", *also_missing)}
    path.write_text(json.dumps(left))
    with pytest.raises(Refused, match=r"OpenTofu, or of Terraform before 1\.8") as caught:
        load(path)
    assert "Terraform 1.8 or newer" in (caught.value.hint or "")
    path.write_text(json.dumps({**left, "applyable": True}))
    with pytest.raises(Refused, match=r"'(complete|timestamp|errored)' is a required property"):
        load(path)


@pytest.mark.parametrize(
    "more", [{"values": {"root_module": {"resources": []}}}, {"values": {}}, {"values": {}, "resource_changes": []}]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_state_is_named_as_what_it_is(more: dict[str, Any], encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"format_version": "1.0", "terraform_version": "1.9.0", **more}), encoding=encoding)
    with pytest.raises(Refused, match="is a Terraform state, not a plan"):
        load(path)


@pytest.mark.parametrize("missing", ["format_version", "timestamp", "errored"])
def test_plan_without_a_needed_part_is_refused_and_the_part_is_named(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    change = ('module.app_runner["green"].aws_apprunner_service.main', ["update"])
    path.write_text(json.dumps({name: value for name, value in plan(change).items() if name != missing}))
    with pytest.raises(Refused, match=f"'{missing}' is a required property"):
        load(path)


def test_modules_that_are_nested_too_deep_are_refused(tmp_path: Path) -> None:
    """Deeper than the schema can be checked, and not too deep for JSON."""
    path = tmp_path / "plan.json"
    modules: dict[str, Any] = {}
    for _ in range(200):
        modules = {"child_modules": [modules]}
    path.write_text(json.dumps(plan(planned_values={"root_module": modules})))
    with pytest.raises(Refused, match="nested too deep"):
        load(path)


def test_valid_plan_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan()))
    assert load(path)["format_version"] == "1.2"
    assert belongs_to('module.x["green"]', GREEN)


CASES = yaml.safe_load(Path(__file__).with_name("terraform_plans.yaml").read_text(encoding="utf-8"))


def verdict_of(document: Any, folder: Path) -> str:
    """``clean``, ``objects`` or ``refused``, as the cases name it."""
    path = folder / "plan.json"
    path.write_text(json.dumps(document).replace('"NOW"', json.dumps(NOW.isoformat())))
    try:
        loaded = load(path)
    except Refused:
        return "refused"
    return "objects" if objections(loaded, GREEN, NOW, 3600) else "clean"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_plan_case(case: dict[str, Any], tmp_path: Path) -> None:
    assert verdict_of(case["plan"], tmp_path) == case["verdict"]


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({"deferred_action_invocations": [{"reason": "unknown"}]}, "objects"),
        ({"timestamp": "2026-11-25T13:00:00Z"}, "objects"),
        (
            {"resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"], "importing": {"id": "x"}}}]},
            "objects",
        ),
        (
            {"resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"], "importing": {}}}]},
            "objects",
        ),
        (
            {"resource_changes": [{"address": "a.b", "previous_address": "a.c", "change": {"actions": ["no-op"]}}]},
            "objects",
        ),
        (
            {
                "resource_changes": [
                    {
                        "address": 'aws_ecs_service.this["green"]',
                        "previous_address": 'aws_ecs_service.this["blue"]',
                        "change": {"actions": ["update"]},
                    }
                ]
            },
            "objects",
        ),
        (
            {
                "resource_changes": [
                    {
                        "address": 'module.ecs.aws_ecs_service.this["green"]',
                        "previous_address": 'aws_ecs_service.this["green"]',
                        "change": {"actions": ["no-op"]},
                    }
                ]
            },
            "clean",
        ),
        (
            {
                "resource_changes": [
                    {"address": "a.b", "change": {"actions": ["no-op"], "before": {"n": 1}, "after": {}}}
                ]
            },
            "objects",
        ),
        (
            {"resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"], "before": 1, "after": True}}]},
            "objects",
        ),
        (
            {"resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"], "before": [1], "after": [1]}}]},
            "clean",
        ),
        ({"format_version": "1.2\n"}, "refused"),
        ({"resource_changes": [{"address": "a.b", "change": {"actions": []}}]}, "refused"),
        ({"resource_changes": [{"address": "a.b", "change": {"actions": "update"}}]}, "refused"),
        ({"resource_changes": [{"change": {"actions": ["update"]}}]}, "refused"),
        ({"resource_changes": [None]}, "refused"),
        ({"resource_changes": None}, "refused"),
        ({"complete": None}, "refused"),
        ({"complete": "true"}, "refused"),
        ({"errored": None}, "refused"),
        ({"timestamp": 1764158400}, "refused"),
        ({"deferred_changes": [{}]}, "refused"),
        ({"deferred_changes": [{"resource_change": {"address": "a.b"}}]}, "objects"),
        ({"complete": False, "resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"]}}]}, "objects"),
        ({"action_invocations": [{"address": "action.aws_lambda_invoke.a"}]}, "objects"),
        ({"action_invocations": [{}]}, "refused"),
        ({"deferred_action_invocations": {}}, "refused"),
        ({"timestamp": ""}, "refused"),
        ({"timestamp": "2026-11-25"}, "refused"),
        ({"timestamp": "2026-11-25 11:50:00"}, "refused"),
        ({"timestamp": "2026-11-25T11:50:00 UTC"}, "refused"),
        ({"resource_changes": [{"address": "a.b", "change": {}}]}, "refused"),
        ({"resource_changes": [{"address": "", "change": {"actions": ["no-op"]}}]}, "refused"),
        (
            {"resource_changes": [{"address": "a.b", "previous_address": 3, "change": {"actions": ["no-op"]}}]},
            "refused",
        ),
        ({"variables": [], "resource_changes": [{"address": "a.b", "change": {"actions": ["no-op"]}}]}, "refused"),
        ({"changes_of_tomorrow": [{"address": "a.b"}]}, "refused"),
        ({"format_version": "2.0"}, "refused"),
    ],
)
def test_anything_but_a_proof_is_not_clean(more: dict[str, Any], verdict: str, tmp_path: Path) -> None:
    assert verdict_of(plan(**more), tmp_path) == verdict


def test_malformed_entry_is_named_by_its_address(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan(resource_changes=[{"address": "module.vpc.aws_vpc.main"}])))
    with pytest.raises(Refused, match=r"module\.vpc\.aws_vpc\.main"):
        load(path)


def test_plan_without_the_list_of_changes_is_refused(tmp_path: Path) -> None:
    """Terraform omits the list only if the root module has no resource at all: then it is not that of an estate."""
    without = {name: value for name, value in plan().items() if name != "resource_changes"}
    several: list[dict[str, Any]] = [{}, {"root_module": {}}, {"root_module": {"resources": resources("data.c.d")}}]
    for values in several:
        assert verdict_of({**without, "planned_values": values}, tmp_path) == "refused"


@pytest.mark.parametrize(
    "contents",
    [
        {"planned_values": {"root_module": {}}},
        {"planned_values": {"root_module": {}}, "configuration": {}, "prior_state": {}},
        {"variables": {"environment": {"value": "production"}}},
        {"configuration": {"root_module": {}}},
    ],
)
def test_plan_of_an_empty_root_module_is_refused(contents: dict[str, Any], tmp_path: Path) -> None:
    assert verdict_of(plan(**contents), tmp_path) == "refused"
    data = {"address": "data.a.b", "mode": "data", "change": {"actions": ["read"]}}
    assert verdict_of(plan(**contents, resource_changes=[data]), tmp_path) == "refused"
    listed = {"address": "a.b", "mode": "managed", "change": {"actions": ["no-op"]}}
    assert verdict_of(plan(**contents, resource_changes=[listed]), tmp_path) == "clean"


PRODUCTION = Owner("production", "production-telehealth-api-blue", "123456789012", "us-east-1")
ARN = "arn:aws:ecs:us-east-1:123456789012:service/production-telehealth/production-telehealth-api-blue"
FARGATE = {"name": "production-telehealth-api-blue", "id": ARN}


def of_production(before: Any, type_: str = "aws_ecs_service", **more: Any) -> list[str]:
    """Return the objections to a plan with this resource, which does not change, as one of production."""
    change = {"actions": ["no-op"], "before": before, "after": before}
    vpc = {"address": "aws_vpc.main", "type": "aws_vpc", "change": {"actions": ["no-op"], "before": {}, "after": {}}}
    one = {"address": "a.b", "mode": "managed", "type": type_, "change": change, **more}
    return list(objections(plan(resource_changes=[vpc, one]), GREEN, NOW, 3600, PRODUCTION))


@pytest.mark.parametrize(
    ("before", "type_"),
    [
        (FARGATE, "aws_ecs_service"),
        ({"name": "production-telehealth-api-blue"}, "aws_ecs_service"),
        ({"service_name": "production-telehealth-api-blue", "arn": ARN}, "aws_apprunner_service"),
        ({"service_name": "production-telehealth-api-blue", "service_arn": ARN}, "awscc_ecs_service"),
    ],
)
def test_plan_with_the_live_service_is_one_of_this_environment(before: dict[str, str], type_: str) -> None:
    assert of_production(before, type_) == []


@pytest.mark.parametrize(
    ("before", "type_"),
    [
        ({"name": "staging-telehealth-api-blue"}, "aws_ecs_service"),
        ({**FARGATE, "id": ARN.replace("123456789012", "210987654321")}, "aws_ecs_service"),
        ({**FARGATE, "arn": ARN.replace("us-east-1", "eu-west-1")}, "aws_ecs_service"),
        ({"name": "production-telehealth-api-green"}, "aws_ecs_service"),
        ({"name": "production-telehealth-api-blue"}, "aws_cloudwatch_dashboard"),
        ({}, "aws_ecs_service"),
        (None, "aws_ecs_service"),
        ("production-telehealth-api-blue", "aws_ecs_service"),
    ],
)
def test_plan_without_the_live_service_is_of_another_environment(before: Any, type_: str) -> None:
    [text] = of_production(before, type_)
    assert text.startswith("no resource of the plan is the live colour's service production-telehealth-api-blue")


def test_data_source_is_no_proof() -> None:
    assert len(of_production(FARGATE, mode="data")) == 1
    assert len(list(objections(plan(), GREEN, NOW, 3600, PRODUCTION))) == 1


@pytest.mark.parametrize(
    ("variables", "of_another"),
    [
        ({"environment": {"value": "staging"}}, True),
        ({"environment": {"value": "embedded"}}, False),
        ({"environment": {"value": 3}}, False),
        ({"environment": {}}, False),
        ({"environment": None}, False),
        ({"region": {"value": "us-east-1"}}, False),
        ({}, False),
    ],
)
def test_environment_without_a_named_service_is_compared_by_the_variable(
    variables: dict[str, Any], of_another: bool
) -> None:
    lines = objections(plan(("a.b", ["no-op"]), variables=variables), GREEN, NOW, 3600, Owner("embedded"))
    assert [line for line in lines if "variable environment is 'staging'" in line] == list(lines)
    assert bool(lines) is of_another


def resources(*addresses: str) -> list[dict[str, Any]]:
    return [{"address": one, "mode": "data" if one.startswith("data.") else "managed"} for one in addresses]


def test_resource_that_the_changes_do_not_list_is_refused(tmp_path: Path) -> None:
    """A plan that was made with -refresh-only, or cut, lists resources without what happens to them."""
    inner = {"child_modules": [{"resources": resources("module.a.aws_vpc.main")}]}
    root = {"root_module": {"resources": resources("a.b", "data.c.d"), **inner}}
    listed = [{"address": "a.b", "change": {"actions": ["no-op"]}}]
    assert verdict_of(plan(planned_values=root, resource_changes=listed), tmp_path) == "refused"
    with pytest.raises(Refused, match=r"module\.a\.aws_vpc\.main"):
        load(tmp_path / "plan.json")
    listed.append({"address": "module.a.aws_vpc.main", "change": {"actions": ["no-op"]}})
    assert verdict_of(plan(planned_values=root, resource_changes=listed), tmp_path) == "clean"
    without = {name: value for name, value in plan().items() if name != "resource_changes"}
    assert verdict_of({**without, "planned_values": root}, tmp_path) == "refused"


@pytest.mark.parametrize(
    "values", [{"root_module": []}, {"root_module": {"resources": [1]}}, {"root_module": {"child_modules": {}}}]
)
def test_planned_values_that_are_malformed_are_refused(values: Any, tmp_path: Path) -> None:
    assert verdict_of(plan(planned_values=values), tmp_path) == "refused"


def test_utf8_with_a_mark_is_read_and_utf16_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan()), encoding="utf-8-sig")
    assert load(path)["complete"] is True
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        path.write_text(json.dumps(plan()), encoding=encoding)
        with pytest.raises(Refused, match="UTF-16") as caught:
            load(path)
        assert "Out-File -Encoding utf8" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"complete": false, "complete": true}', "\ud800"])
def test_hostile_text_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, errors="surrogatepass")
    with pytest.raises(Refused, match="not JSON"):
        load(path)


@pytest.mark.parametrize("kind", ["a pipe", "/dev/null", "/dev/zero"])
def test_pipe_or_device_is_not_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    os.mkfifo(path) if kind == "a pipe" else path.symlink_to(kind)

    def read(_: Path) -> bytes:
        raise AssertionError("to read it may never end")

    monkeypatch.setattr(Path, "read_bytes", read)
    with pytest.raises(Refused, match="cannot be read: it is a pipe or a device"):
        load(path)


def test_long_address_is_abridged(tmp_path: Path) -> None:
    path, address = tmp_path / "plan.json", "module." + "a" * 100_000
    changes = [{"address": address, "change": {"actions": ["update"]}}]
    path.write_text(json.dumps(plan(resource_changes=changes)))
    [objection] = objections(load(path), GREEN, NOW, 3600)
    assert len(objection) < 1_100
    assert objection.endswith(": update")
