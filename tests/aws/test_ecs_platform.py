"""The platform against a fake cluster that deploys only on a test's command, and rolls back as a circuit breaker does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from deployment.errors import ProvisionFailed
from deployment.model import Colour, Image, Readiness, Rollout
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.session import Clients
from tests.aws.cluster import GROUPS, HOST, NAMES, Cluster, uri
from tests.aws.conftest import SteppedClock

BLUE, GREEN = Colour.BLUE, Colour.GREEN
OLD, NEW, OTHER = (f"sha256:{letter * 64}" for letter in "abc")
URLS = {colour: f"https://{colour}.telehealth.example:8443" for colour in Colour}
IMAGE = Image("telehealth-api", "1.1.0", NEW, "1.1.0", uri(NEW))
GREENS = f"service/main/{NAMES[GREEN]}"
BLUES = f"service/main/{NAMES[BLUE]}"


@pytest.fixture
def cluster(clock: SteppedClock) -> Cluster:
    """Blue is live with four tasks, green has an old release with one."""
    made = Cluster(clock)
    made.create(BLUE, OLD, tasks=4)
    made.create(GREEN, OLD, tasks=1)
    return made


def process(cluster: Cluster) -> EcsPlatform:
    """Return a platform as in a new process: without memory."""
    return EcsPlatform(cast(Clients, cluster), "main", NAMES, GROUPS, URLS, DrainWindow(120.0, cluster.clock))


@pytest.fixture
def platform(cluster: Cluster) -> EcsPlatform:
    return process(cluster)


def said(cluster: Cluster, rollout: Rollout) -> tuple[Readiness, str]:
    progress = process(cluster).progress(rollout)
    return progress.readiness, progress.detail


def test_a_colour_is_described(cluster: Cluster, platform: EcsPlatform) -> None:
    found = platform.describe(BLUE)
    assert (found.status, found.running, found.busy, found.digest, found.unhealthy) == (
        "ACTIVE",
        True,
        False,
        OLD,
        None,
    )
    assert (found.url, found.origin, found.obstacle) == (URLS[BLUE], "blue.telehealth.example:8443", None)
    del cluster.services[NAMES[GREEN]]
    assert (platform.describe(GREEN).status, platform.describe(GREEN).running) == ("ABSENT", False)


def test_release_starts_at_the_live_colours_size(cluster: Cluster, platform: EcsPlatform) -> None:
    cluster.bounds = {BLUES: (3, 8), GREENS: (1, 6)}
    rollout = platform.provision(GREEN, IMAGE)
    assert cluster.services[NAMES[GREEN]].desired == 4
    assert cluster.bounds == {BLUES: (3, 8), GREENS: (3, 8)}
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    assert "0 of 4 tasks run" in said(cluster, rollout)[1]
    assert platform.describe(GREEN).busy
    cluster.settle(GREEN)
    assert said(cluster, rollout) == (Readiness.READY, f"api-green: 4 tasks run {NEW[:19]}")
    assert (platform.describe(GREEN).digest, platform.describe(BLUE).digest) == (NEW, OLD)


def test_candidate_is_scaled_up_to_the_live_colour(cluster: Cluster, platform: EcsPlatform) -> None:
    platform.provision(GREEN, IMAGE)
    cluster.settle(GREEN)
    cluster.bounds = {BLUES: (3, 9), GREENS: (1, 6)}
    cluster.services[NAMES[BLUE]].desired, cluster.services[NAMES[GREEN]].desired = 7, 2
    platform.scale(GREEN)
    assert (cluster.services[NAMES[GREEN]].desired, cluster.bounds[GREENS]) == (7, (3, 9))
    assert platform.describe(GREEN).unhealthy == "4 of 7 targets are registered and healthy"
    cluster.settle(GREEN)
    assert platform.describe(GREEN).unhealthy is None
    written = len(cluster.wrote)
    platform.scale(GREEN)
    cluster.services[NAMES[GREEN]].desired = 9
    platform.scale(GREEN)
    assert (cluster.services[NAMES[GREEN]].desired, len(cluster.wrote)) == (9, written), (
        "a larger colour is not changed"
    )


def test_only_the_image_changes(cluster: Cluster, platform: EcsPlatform) -> None:
    migrations = {"name": "migrate", "image": f"{HOST}/telehealth-api:1.0.0", "essential": False}
    sidecar = {"name": "collector", "image": "public.ecr.aws/otel/collector:1"}
    green = cluster.definitions[cluster.services[NAMES[GREEN]].definition]
    green["containerDefinitions"] += [migrations, sidecar]
    green |= {
        "taskRoleArn": "arn:aws:iam::123456789012:role/task",
        "volumes": [],
        "networkMode": "awsvpc",
        "compatibilities": ["FARGATE"],
    }
    before = platform.describe(GREEN).configuration
    platform.provision(GREEN, IMAGE)
    made = cluster.definitions[cluster.services[NAMES[GREEN]].definition]
    assert made["taskDefinitionArn"] != green["taskDefinitionArn"]
    assert [one["image"] for one in made["containerDefinitions"]] == [
        uri(NEW),
        uri(NEW),
        "public.ecr.aws/otel/collector:1",
    ]
    assert (made["taskRoleArn"], made["networkMode"], made["cpu"]) == (green["taskRoleArn"], "awsvpc", "256")
    assert made["containerDefinitions"][0]["environment"] == [{"name": "DEPLOY_COLOR", "value": "green"}]
    cluster.settle(GREEN)
    assert platform.describe(GREEN).configuration == before


def test_deployment_includes_terraforms_latest_changes(cluster: Cluster, platform: EcsPlatform) -> None:
    before = platform.describe(GREEN).configuration
    newest = dict(cluster.definitions[cluster.services[NAMES[GREEN]].definition], cpu="512")
    newest["containerDefinitions"] = [dict(newest["containerDefinitions"][0], image="bootstrap:1")]
    cluster._register(
        {key: value for key, value in newest.items() if key not in ("taskDefinitionArn", "revision", "status")}
    )
    platform.provision(GREEN, IMAGE)
    made = cluster.definitions[cluster.services[NAMES[GREEN]].definition]
    assert (made["cpu"], made["containerDefinitions"][0]["image"]) == ("512", uri(NEW))
    assert platform.describe(GREEN).configuration != before


def test_deployment_rolled_back_by_the_circuit_breaker_is_stuck(cluster: Cluster, platform: EcsPlatform) -> None:
    """It stays stuck when the former release is stable again and ECS no longer lists the failed deployment."""
    rollout = platform.provision(GREEN, IMAGE)
    cluster.break_down(GREEN)
    readiness, detail = said(cluster, rollout)
    assert (readiness, "circuit breaker" in detail) == (Readiness.STUCK, True)
    cluster.settle(GREEN)
    readiness, detail = said(cluster, rollout)
    assert readiness is Readiness.STUCK
    assert (
        "api-green: ECS deploys api-green:1, not api-green:2: it rolled the deployment back (Circuit breaker" in detail
    )
    assert "one of its tasks ended" not in detail, "ECS reports no ended task"


def test_rolled_back_deployment_reports_why_its_tasks_ended(
    cluster: Cluster, platform: EcsPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is not that the rollback stopped tasks, although that happened last."""
    rollout = platform.provision(GREEN, IMAGE)
    unhealthy = "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:x)"
    for reason in (unhealthy, "Scaling activity initiated by (deployment ecs-svc/4)"):
        cluster.end(GREEN, stopCode="ServiceSchedulerInitiated", stoppedReason=reason, containers=[])
    failed, made = cluster.services[NAMES[GREEN]].ended, cluster.services[NAMES[GREEN]]
    cluster.break_down(GREEN)
    cluster.settle(GREEN)
    assert said(cluster, rollout)[1].endswith(f"; one of its tasks ended: {unhealthy}")
    exited = {
        **failed[0],
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
    }
    made.ended = [{**exited, "containers": [{"name": "api", "exitCode": 137, "reason": "OutOfMemoryError"}]}, *failed]
    assert said(cluster, rollout)[1].endswith("exited (api: exit code 137, OutOfMemoryError)")

    def denied(*_: str) -> list[str]:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListTasks")

    monkeypatch.setattr(cluster, "_listed", denied)
    assert said(cluster, rollout)[0] is Readiness.STUCK, "a caller without ecs:ListTasks gets the rest"


def test_repeated_task_failures_are_stuck_without_a_circuit_breaker(cluster: Cluster, platform: EcsPlatform) -> None:
    """Only this deployment's tasks count, up to a circuit breaker's threshold; the detail names the last task's reason."""
    cluster.end(GREEN)
    cluster.end(GREEN)
    rollout = platform.provision(GREEN, IMAGE)
    for _ in range(2):
        cluster.end(GREEN)
    cluster.end(GREEN, stopCode="UserInitiated")
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    cluster.end(
        GREEN, stopCode="TaskFailedToStart", stoppedReason="CannotPullContainerError: no basic auth.", containers=[]
    )
    assert said(cluster, rollout) == (
        Readiness.STUCK,
        "api-green: 3 tasks of this deployment have ended, 3 are too many; the last one: CannotPullContainerError: "
        "no basic auth; the release did not come up, its logs say why",
    )
    cluster.end(GREEN)
    assert "the last one: Essential container in task exited (api: exit code 1)" in said(cluster, rollout)[1]
    cluster.services[NAMES[GREEN]].breaker = True
    assert said(cluster, rollout)[0] is Readiness.NOT_YET, "ECS decides"


def test_large_service_may_lose_some_tasks(cluster: Cluster, platform: EcsPlatform) -> None:
    cluster.services[NAMES[BLUE]].desired = 10
    rollout = platform.provision(GREEN, IMAGE)
    for _ in range(4):
        cluster.end(GREEN)
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    cluster.end(GREEN)
    assert said(cluster, rollout)[0] is Readiness.STUCK


def test_stale_answer_is_not_taken_for_a_rollback(cluster: Cluster, platform: EcsPlatform) -> None:
    """ECS does not promise that a read includes the last write."""
    made = cluster.services[NAMES[GREEN]]
    stale = ([dict(one) for one in made.deployments], made.definition)
    rollout = platform.provision(GREEN, IMAGE)
    fresh = (made.deployments, made.definition)
    made.deployments, made.definition = stale
    assert said(cluster, rollout) == (Readiness.NOT_YET, "not listed yet: deployment ecs-svc/3 of api-green")
    made.deployments, made.definition = fresh
    cluster.settle(GREEN)
    assert said(cluster, rollout)[0] is Readiness.READY


def test_history_and_not_the_time_decides_about_another_deployment(cluster: Cluster, platform: EcsPlatform) -> None:
    """A clock that ran backwards between two deployments once made a rollback look like an answer from before it."""
    rollout = platform.provision(GREEN, IMAGE)
    cluster.break_down(GREEN)
    cluster.settle(GREEN)
    made = cluster.services[NAMES[GREEN]]
    made.deployments[0]["createdAt"] -= timedelta(hours=1)
    readiness, detail = said(cluster, rollout)
    assert (readiness, "Circuit breaker triggered" in detail) == (Readiness.STUCK, True), detail


@pytest.mark.parametrize("refused", ["UnsupportedFeatureException", "AccessDeniedException", ""])
def test_unknown_history_is_reported_and_not_guessed(cluster: Cluster, platform: EcsPlatform, refused: str) -> None:
    """The rollout waits, until the run's time is over, and says what it does not know; a completed one still ends."""
    cluster.no_history = refused
    rollout = platform.provision(GREEN, IMAGE)
    if not refused:  # an earlier version wrote the rollout
        definition, deployment, _ = rollout.operation.split(" ")
        rollout = replace(rollout, operation=f"{definition} {deployment} 1767225600.000")
    made = cluster.services[NAMES[GREEN]]
    fresh, made.definition = made.definition, f"{made.definition.rpartition(':')[0]}:1"
    made.deployments = [made.deployments[1] | {"status": "PRIMARY"}]
    readiness, detail = said(cluster, rollout)
    assert (readiness, detail.startswith("unknown: api-green has deployment ecs-svc/2")) == (Readiness.NOT_YET, True)
    made.definition, made.deployments[0]["id"] = fresh, deployment_of(rollout)
    cluster.settle(GREEN)
    assert said(cluster, rollout)[0] is Readiness.READY


def deployment_of(rollout: Rollout) -> str:
    return rollout.operation.split(" ")[1]


def test_later_deployment_of_another_user(cluster: Cluster, platform: EcsPlatform) -> None:
    """One of the same release counts once it is complete; one of another release ends the rollout."""
    rollout = platform.provision(GREEN, IMAGE)
    made = cluster.services[NAMES[GREEN]]
    cluster._deploy(made, made.definition, made.desired)
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    cluster.settle(GREEN)
    assert said(cluster, rollout)[0] is Readiness.READY
    cluster._deploy(made, cluster.services[NAMES[BLUE]].definition, made.desired)
    cluster.settle(GREEN)
    assert said(cluster, rollout)[1].endswith("not api-green:2: another user deployed")


@pytest.mark.parametrize(
    ("runs", "index", "ready", "text"),
    [
        (NEW, [], Readiness.READY, "4 tasks run"),
        (OTHER, [], Readiness.STUCK, f"a task runs {OTHER}, not {NEW}"),
        (OTHER, [OTHER, OLD], Readiness.READY, "4 tasks run"),  # the manifest for this platform in the index
        (None, [], Readiness.NOT_YET, "does not report yet which image"),
    ],
)
def test_every_task_must_run_the_digest(
    cluster: Cluster, platform: EcsPlatform, runs: str | None, index: list[str], ready: Readiness, text: str
) -> None:
    cluster.runs, cluster.index = {NEW: runs}, {NEW: index}
    rollout = platform.provision(GREEN, IMAGE)
    cluster.settle(GREEN)
    readiness, detail = said(cluster, rollout)
    assert (readiness, text in detail) == (ready, True), detail


@pytest.mark.parametrize(
    ("states", "ready", "text"),
    [
        (["healthy"] * 4, Readiness.READY, ""),
        (["healthy"] * 4 + ["draining"], Readiness.READY, ""),
        (["healthy"] * 3, Readiness.NOT_YET, "3 of 4 targets are registered and healthy"),
        (["healthy"] * 3 + ["unhealthy"], Readiness.NOT_YET, "3 of 4 targets are healthy, one is unhealthy (Target.F"),
        (["healthy"] * 4 + ["initial"], Readiness.NOT_YET, "4 of 5 targets are healthy, one is initial"),
        ([], Readiness.NOT_YET, "0 of 4 targets"),
    ],
)
def test_every_target_must_be_healthy(
    cluster: Cluster, platform: EcsPlatform, states: list[str], ready: Readiness, text: str
) -> None:
    rollout = platform.provision(GREEN, IMAGE)
    cluster.settle(GREEN)
    cluster.health[GROUPS[GREEN]] = states
    readiness, detail = said(cluster, rollout)
    # What is missing comes first, since a terminal may cut the end of the line.
    assert (readiness, detail.startswith(text)) == (ready, True), detail
    unhealthy = platform.describe(GREEN).unhealthy
    assert (unhealthy is None) == (ready is Readiness.READY)


def test_rollout_waits_for_former_tasks(cluster: Cluster, platform: EcsPlatform) -> None:
    former = cluster.services[NAMES[GREEN]].definition
    rollout = platform.provision(GREEN, IMAGE)
    cluster.settle(GREEN)
    cluster.services[NAMES[GREEN]].tasks.append(former)
    assert said(cluster, rollout) == (Readiness.NOT_YET, "a task of the former deployment is still ending: api-green")


def test_provisioning_twice_starts_one_rollout(cluster: Cluster, platform: EcsPlatform) -> None:
    rollout = platform.provision(GREEN, IMAGE)
    assert process(cluster).provision(GREEN, IMAGE) == rollout
    assert cluster.wrote == ["RegisterTaskDefinition", "UpdateService"]


def test_next_try_reuses_the_definition_of_a_lost_update(cluster: Cluster, platform: EcsPlatform) -> None:
    platform._registered(cluster.services[NAMES[GREEN]].definition, "api", IMAGE)
    rollout = platform.provision(GREEN, IMAGE)
    assert cluster.wrote == ["RegisterTaskDefinition", "UpdateService"]
    cluster.settle(GREEN)
    assert said(cluster, rollout)[0] is Readiness.READY


def test_running_release_is_started_again(cluster: Cluster, platform: EcsPlatform) -> None:
    """It must start again: the rollout follows the new deployment, not the one that already runs the release."""
    cluster.settle(GREEN)
    image = Image("telehealth-api", "1.0.0", OLD, "1.0.0", uri(OLD))
    rollout = platform.provision(GREEN, image)
    assert cluster.wrote == ["UpdateService"]
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    cluster.settle(GREEN)
    assert said(cluster, rollout)[0] is Readiness.READY


def test_next_deployment_replaces_one_that_never_ends(cluster: Cluster, platform: EcsPlatform) -> None:
    broken = platform.provision(GREEN, IMAGE)
    good = platform.provision(GREEN, Image("telehealth-api", "1.2.0", OTHER, "1.2.0", uri(OTHER)))
    cluster.settle(GREEN)
    assert said(cluster, good)[0] is Readiness.READY
    assert said(cluster, broken)[0] is Readiness.STUCK


def test_stopped_colour_gets_its_tasks_and_bounds_back(cluster: Cluster, platform: EcsPlatform) -> None:
    cluster.bounds = {BLUES: (2, 8), GREENS: (0, 8)}
    cluster.services[NAMES[GREEN]].desired = 0
    cluster.settle(GREEN)
    assert (platform.describe(GREEN).status, platform.describe(GREEN).running) == ("STOPPED", False)
    platform.provision(GREEN, IMAGE)
    assert (cluster.bounds[GREENS], cluster.services[NAMES[GREEN]].desired) == ((2, 8), 4)


@pytest.mark.parametrize("absent", [True, False])
def test_estate_that_contradicts_the_settings_is_reported(
    cluster: Cluster, platform: EcsPlatform, absent: bool
) -> None:
    if absent:
        del cluster.services[NAMES[GREEN]]
    swapped = {BLUE: GROUPS[GREEN], GREEN: GROUPS[BLUE]}
    other = (
        platform
        if absent
        else EcsPlatform(cast(Clients, cluster), "main", NAMES, swapped, URLS, DrainWindow(1.0, cluster.clock))
    )
    with pytest.raises(ProvisionFailed, match="does not exist in cluster" if absent else "registers no tasks with"):
        other.provision(GREEN, IMAGE)
    assert cluster.wrote == []
    found = other.describe(GREEN)  # preflight refuses a colour with an obstacle before the run changes anything
    assert not found.running
    assert ("with terraform apply" if absent else "registers no tasks with") in (found.obstacle or "")


# -- stopping ------------------------------------------------------------------------------------------------------------


def asked(cluster: Cluster, seconds_ago: float, count: float = 5) -> None:
    cluster.requests[GROUPS[GREEN]].append((cluster.clock.now() - timedelta(seconds=seconds_ago), count))


def test_colour_with_recent_requests_is_not_stopped(cluster: Cluster, platform: EcsPlatform) -> None:
    """After a switch by DNS, clients keep their connections: only their requests show when they have left."""
    asked(cluster, 30)
    assert platform.retire(GREEN) is not None
    assert cluster.services[NAMES[GREEN]].desired == 1
    progress = platform.stopped(GREEN)
    assert (progress.readiness, "it still serves: 5 requests in the last 120 s" in progress.detail) == (
        Readiness.NOT_YET,
        True,
    )
    cluster.clock.sleep(300)
    platform.retire(GREEN)
    assert cluster.services[NAMES[GREEN]].desired == 0
    assert "it still serves" not in platform.stopped(GREEN).detail
    cluster.settle(GREEN)
    assert platform.stopped(GREEN).readiness is Readiness.READY
    assert platform.retire(GREEN) is None
    assert cluster.services[NAMES[BLUE]].desired == 4


def test_stop_waits_for_a_longer_deregistration_delay(cluster: Cluster, platform: EcsPlatform) -> None:
    cluster.delay_s = 600
    asked(cluster, 500)
    platform.retire(GREEN)
    assert cluster.services[NAMES[GREEN]].desired == 1
    cluster.clock.sleep(300)
    platform.retire(GREEN)
    assert cluster.services[NAMES[GREEN]].desired == 0


def test_autoscaling_does_not_restart_a_stopped_colour(cluster: Cluster, platform: EcsPlatform) -> None:
    cluster.bounds = {BLUES: (2, 8), GREENS: (2, 8)}
    platform.retire(GREEN)
    assert cluster.bounds == {BLUES: (2, 8), GREENS: (0, 8)}
    assert cluster.wrote[-2:] == ["RegisterScalableTarget", "UpdateService"]


def test_absent_colour_needs_no_stop(cluster: Cluster, platform: EcsPlatform) -> None:
    del cluster.services[NAMES[GREEN]]
    assert platform.retire(GREEN) is None
    assert platform.stopped(GREEN).readiness is Readiness.READY
    assert platform.logs(GREEN, cluster.clock.now()) == ()


def test_logs_are_the_colours_own_streams_and_the_services_events(
    cluster: Cluster, platform: EcsPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def newest(_: Clients, groups: Mapping[str, str], *__: object, **more: Any) -> list[str]:
        given.update(more, groups=groups)
        return ["line"]

    monkeypatch.setattr("infrastructure.aws.ecs.platform.newest_lines", newest)
    assert platform.logs(GREEN, cluster.clock.now()) == ["line"]
    assert (given["groups"], given["streams"]) == ({"api": "/ecs/api"}, {"api": "green/api/"})
    assert "steady state" in given["events"][0][1]


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CODE_DEPLOY"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "EXTERNAL"),
        ({"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}, "BLUE_GREEN"),
        ({"deploymentConfiguration": {"strategy": "LINEAR"}}, "LINEAR"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "CANARY"),
    ],
)
def test_services_that_something_else_deploys_are_obstacles(
    cluster: Cluster, platform: EcsPlatform, setting: dict[str, Any], named: str
) -> None:
    """Preflight refuses them, and no UpdateService is sent: it would shift traffic before any gate."""
    cluster.settings[NAMES[GREEN]] = setting
    assert named in (platform.describe(GREEN).obstacle or "")
    with pytest.raises(ProvisionFailed, match=named):
        platform.provision(GREEN, IMAGE)
    assert cluster.wrote == []


@pytest.mark.parametrize(
    "setting",
    [
        {"deploymentController": {"type": "ECS"}},
        {"deploymentConfiguration": {"strategy": "ROLLING", "maximumPercent": 200}},
    ],
)
def test_rolling_services_are_no_obstacle(cluster: Cluster, platform: EcsPlatform, setting: dict[str, Any]) -> None:
    cluster.settings[NAMES[GREEN]] = setting
    assert platform.describe(GREEN).obstacle is None


def test_scale_in_is_no_failure(cluster: Cluster, platform: EcsPlatform) -> None:
    """Autoscaling stops healthy tasks of the deployment; tasks that fail their health checks still count."""
    rollout = platform.provision(GREEN, IMAGE)
    for _ in range(5):
        reason = f"Scaling activity initiated by (deployment {cluster.services[NAMES[GREEN]].deployments[0]['id']})"
        cluster.end(GREEN, stopCode="ServiceSchedulerInitiated", stoppedReason=reason)
    assert said(cluster, rollout)[0] is Readiness.NOT_YET
    for _ in range(5):
        unhealthy = "Task failed ELB health checks in (target-group api-green)"
        cluster.end(GREEN, stopCode="ServiceSchedulerInitiated", stoppedReason=unhealthy)
    assert said(cluster, rollout)[0] is Readiness.STUCK
