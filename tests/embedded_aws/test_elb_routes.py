"""The lines that the proxy reads, from rules and target health: pure functions, and the files at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infrastructure.embedded.aws.elbv2.health import matches
from infrastructure.embedded.aws.elbv2.records import Address, Resource, Target
from infrastructure.embedded.aws.elbv2.routes import ENTRIES, SLOTS, RouteFiles, lines
from infrastructure.embedded.aws.elbv2.store import Store

STEM = "arn:aws:elasticloadbalancing:us-east-1:1:listener-rule/app/tests/1/2/"


def rule(priority: str, *hosts: str, **weights: int) -> Resource:
    """Return a rule that forwards by weight for these hosts; without hosts it matches every host."""
    groups = [{"TargetGroupArn": group, "Weight": weight} for group, weight in weights.items()]
    actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
    conditions = [{"Field": "host-header", "HostHeaderConfig": {"Values": list(hosts)}}] if hosts else []
    document: dict[str, Any] = {"Priority": priority, "IsDefault": priority == "default"}
    return Resource(STEM + priority, "listener-rule", document | {"Actions": actions, "Conditions": conditions})


def targets(group: str, *states: str) -> list[Target]:
    return [
        Target(Address(group, "127.0.0.1", port), state, gone_at=1.0 if state == "draining" else None)
        for port, state in enumerate(states, 1)
    ]


CASES: dict[str, tuple[dict[str, int], dict[str, list[Target]], str]] = {
    "all on one": ({"blue": 100, "green": 0}, {"blue": targets("blue", "healthy")}, "g 127.0.0.1:1"),
    "one in ten": (
        {"blue": 90, "green": 10},
        {"blue": targets("blue", "healthy"), "green": targets("green", "healthy")},
        "e666 127.0.0.1:1 g 127.0.0.1:1",
    ),
    "two share": ({"blue": 1}, {"blue": targets("blue", "healthy", "healthy")}, "8000 127.0.0.1:1 g 127.0.0.1:2"),
    "healthy alone": ({"blue": 1}, {"blue": targets("blue", "unhealthy", "healthy", "initial")}, "g 127.0.0.1:2"),
    "fails open": ({"blue": 1}, {"blue": targets("blue", "unhealthy")}, "g 127.0.0.1:1"),
    "not to draining targets": ({"blue": 1}, {"blue": targets("blue", "draining", "healthy")}, "g 127.0.0.1:2"),
    "no target": ({"blue": 1}, {}, "g =503"),
    "no target for a share": (
        {"blue": 50, "green": 50},
        {"blue": targets("blue", "healthy")},
        "8000 127.0.0.1:1 g =503",
    ),
    "no weight at all": ({"blue": 0}, {"blue": targets("blue", "healthy")}, "g =503"),
}


@pytest.mark.parametrize(("weights", "known", "line"), CASES.values(), ids=CASES)
def test_a_line(weights: dict[str, int], known: dict[str, list[Target]], line: str) -> None:
    assert lines([rule("default", **weights)], known) == [(f"* {line}", None)]


def test_a_line_for_each_host_and_no_more_entries_than_the_proxy_reads() -> None:
    many = {"blue": targets("blue", *["healthy"] * 30), "green": targets("green", *["healthy"] * 30)}
    found = lines([rule("10", "A.localhost", "b.localhost", blue=1, green=1), rule("default", blue=1)], many)
    assert [line.split()[0] for line, _ in found] == ["a.localhost", "b.localhost", "*"]
    assert all(len(line.split()) == 1 + 2 * ENTRIES for line, _ in found)


def test_a_line_holds_the_rewritten_host() -> None:
    made = rule("10", "rehearsal.localhost", blue=1)
    rewrite = {"Regex": "^.+$", "Replace": "api.localhost:80"}
    made.document["Transforms"] = [{"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [rewrite]}}]
    assert lines([made], {"blue": targets("blue", "healthy")}) == [
        ("rehearsal.localhost>api.localhost:80 g 127.0.0.1:1", None)
    ]


@pytest.mark.parametrize(
    ("matcher", "status", "there"),
    [
        ("200", 200, True),
        ("200", 503, False),
        ("200-299,404", 204, True),
        ("200-299,404", 404, True),
        ("200,202", 201, False),
    ],
)
def test_matches(matcher: str, status: int, there: bool) -> None:
    assert matches(matcher, status) is there


def test_files_are_replaced_only_if_they_change(tmp_path: Path) -> None:
    store = Store(tmp_path / "balancers.json")
    listener = STEM.replace("listener-rule", "listener").rstrip("/")
    store.put(Resource(listener, "listener", {"Port": 80}), rule("default", blue=1), rule("5", "api.localhost", blue=1))
    files = RouteFiles(tmp_path / "listeners", store)
    files.write()
    written = {file.name: file.read_text() for file in (tmp_path / "listeners" / "80").iterdir()}
    assert written == {"1": "api.localhost g =503", "2": "* g =503", **{str(n): "-" for n in range(3, SLOTS + 1)}}
    before = {file: file.stat().st_ino for file in (tmp_path / "listeners" / "80").iterdir()}
    store.put_targets(targets("blue", "healthy"))
    files.write()
    changed = [file.name for file, inode in before.items() if file.stat().st_ino != inode]
    assert sorted(changed) == ["1", "2"]
    again = Store(tmp_path / "balancers.json")
    assert [one.state for one in again.targets("blue")] == ["healthy"]
    assert [one.document["Priority"] for one in again.rules_of(listener)] == ["5", "default"]
