"""The calls of the ECS platform, each with an action that makes it.

moto never starts a task, so the calls that check a service's tasks have actions of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from deployment.model import Colour, Image, Readiness, Service
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.platform import EcsPlatform
from infrastructure.aws.ecs.task_states import Tasks
from infrastructure.aws.session import Clients
from tests.aws.estates import HOST, Ecs, ecs, task
from tests.aws_faults.injection import Act, Call, Scene

NEW = f"sha256:{'b' * 64}"
URLS = {colour: f"https://{colour}.example" for colour in Colour}
_MADE: dict[int, Ecs] = {}
"""By id of the clients: an estate for actions that only read; it is made once for each set of clients."""


def platform(clients: Clients, scene: Scene, estate: Ecs) -> EcsPlatform:
    return EcsPlatform(clients, estate.cluster, estate.services, estate.groups, URLS, DrainWindow(60.0, scene.clock))


def fresh(scene: Scene) -> Ecs:
    return ecs(scene.clean, f"e{uuid4().hex[:12]}")


def lasting(scene: Scene) -> Ecs:
    if id(scene.clean) not in _MADE:
        _MADE[id(scene.clean)] = fresh(scene)
        task(scene.clean, _MADE[id(scene.clean)], Colour.GREEN)
    return _MADE[id(scene.clean)]


def describe(scene: Scene) -> Act:
    estate = lasting(scene)
    clean = platform(scene.clean, scene, estate)
    return Act(
        lambda clients: platform(clients, scene, estate).describe(Colour.GREEN),
        lambda result: isinstance(result, Service) and result == clean.describe(Colour.GREEN),
    )


def provision(scene: Scene) -> Act:
    """Give green the new image, and blue's size and lower bound."""
    estate = fresh(scene)
    clean = platform(scene.clean, scene, estate)
    image = Image("x", "2", NEW, "2", f"{HOST}/{estate.cluster}@{NEW}")

    def right(result: object) -> bool:
        found = scene.clean.call(
            "ecs", "DescribeServices", cluster=estate.cluster, services=[estate.services[Colour.GREEN]]
        )["services"][0]
        least = scene.clean.call(
            "application-autoscaling",
            "DescribeScalableTargets",
            ServiceNamespace="ecs",
            ResourceIds=[f"service/{estate.cluster}/{estate.services[Colour.GREEN]}"],
        )["ScalableTargets"][0]["MinCapacity"]
        sized = (found["desiredCount"], least) == (2, 2)
        return sized and clean.describe(Colour.GREEN).digest == NEW and getattr(result, "digest", None) == NEW

    return Act(lambda clients: platform(clients, scene, estate).provision(Colour.GREEN, image), right)


def retire(scene: Scene) -> Act:
    estate = fresh(scene)
    clean = platform(scene.clean, scene, estate)

    def right(_: object) -> bool:
        return clean.describe(Colour.GREEN).status == "STOPPED" and clean.describe(Colour.BLUE).status == "ACTIVE"

    return Act(lambda clients: platform(clients, scene, estate).retire(Colour.GREEN), right)


def tasks(digest: str) -> Callable[[Scene], Act]:
    """Check the tasks of a service that wants none: this reads the existing task and the image's manifests."""

    def scene_of(scene: Scene) -> Act:
        estate = lasting(scene)
        found = scene.clean.call(
            "ecs", "DescribeServices", cluster=estate.cluster, services=[estate.services[Colour.GREEN]]
        )["services"][0]
        wanting_none = {**found, "desiredCount": 0}

        def do(clients: Clients) -> object:
            return Tasks(clients, estate.cluster).mismatch(wanting_none, "api", found["taskDefinition"], digest)

        return Act(do, lambda result: result is None or getattr(result, "readiness", None) is Readiness.NOT_YET)

    return scene_of


ECS_CALLS = {
    "ecs.describe/service": Call("DescribeServices", describe),
    "ecs.describe/definition": Call("DescribeTaskDefinition", describe),
    "ecs.describe/targets": Call("DescribeTargetHealth", describe),
    "ecs.provision/bounds": Call("DescribeScalableTargets", provision),
    "ecs.provision/floor": Call("RegisterScalableTarget", provision),
    "ecs.provision/definition": Call("RegisterTaskDefinition", provision),
    "ecs.provision/service": Call("UpdateService", provision),
    "ecs.progress/tasks": Call("ListTasks", tasks(NEW)),
    "ecs.progress/digests": Call("DescribeTasks", tasks(NEW)),
    "ecs.progress/manifests": Call("BatchGetImage", tasks(NEW)),
    "ecs.retire/group": Call("DescribeTargetGroups", retire),
    "ecs.retire/delay": Call("DescribeTargetGroupAttributes", retire),
    "ecs.retire/requests": Call("GetMetricData", retire),
    "ecs.retire/service": Call("UpdateService", retire),
}
