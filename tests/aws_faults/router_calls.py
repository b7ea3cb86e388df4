"""The calls of the routers ALB and Route 53, each in an action that makes it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from deployment.model import Colour, Readiness, Routes
from deployment.ports import Router
from infrastructure.aws.load_balancer.router import AlbRouter
from infrastructure.aws.route53.router import Route53Router
from infrastructure.aws.session import Clients
from tests.aws.estates import IDENTIFIERS, balancer, zone
from tests.aws_faults.injection import Act, Call, Scene

Make = Callable[[Clients], Router]
_MADE: dict[tuple[str, int], Make] = {}
"""Estates are made once for each set of clients: a test leaves one as it found it, but for the generation."""


def rule(scene: Scene) -> Make:
    def make() -> Make:
        made = balancer(scene.calm, f"r{uuid4().hex[:12]}")
        return lambda clients: AlbRouter(clients, made.rule, made.groups, scene.clock)

    return _once("rule", scene, make)


def listener(scene: Scene) -> Make:
    def make() -> Make:
        made = balancer(scene.calm, f"l{uuid4().hex[:12]}")
        return lambda clients: AlbRouter(clients, made.listener, made.groups, scene.clock)

    return _once("listener", scene, make)


def records(scene: Scene) -> Make:
    """A fresh zone each time: moto keeps a journal of all changes, and takes a record that was there once for there."""
    name = f"z{uuid4().hex[:12]}"
    hosted = zone(scene.calm, name)
    return lambda clients: Route53Router(clients, hosted, f"api.{name}.example", IDENTIFIERS, [], scene.clock)


def _once(kind: str, scene: Scene, make: Callable[[], Make]) -> Make:
    key = (kind, id(scene.calm))
    if key not in _MADE:
        _MADE[key] = make()
    return _MADE[key]


def observe(make: Callable[[Scene], Make]) -> Callable[[Scene], Act]:
    def scene_of(scene: Scene) -> Act:
        router = make(scene)
        return Act(lambda clients: router(clients).observe(), lambda came: came == router(scene.calm).observe())

    return scene_of


def switch(make: Callable[[Scene], Make]) -> Callable[[Scene], Act]:
    """Traffic goes to the other colour under the next fencing token, so that a former token's tag has to go."""

    def scene_of(scene: Scene) -> Act:
        router = make(scene)
        calm = router(scene.calm)
        seen = calm.observe()
        token, to = seen.fence + 1, seen.live.other
        if not seen.generation:
            seen = calm.set(seen, {seen.live: 100, to: 0}, {}, token)
            token += 1

        def do(clients: Clients) -> object:
            now = calm.observe()  # whoever repeats it reads first what came of the first time
            return now if now.live is to and now.fence == token else router(clients).set(now, weights(to), {}, token)

        def right(came: object) -> bool:
            now = calm.observe()
            return came == now and (now.live, now.fence) == (to, token) and now.generation > seen.generation

        return Act(do, right)

    return scene_of


def weights(to: Colour) -> dict[Colour, int]:
    return {to: 100, to.other: 0}


def spread(scene: Scene) -> Act:
    """Whether all servers have a change: asked by the process that made it."""
    router = records(scene)
    told: list[Routes] = []

    def do(clients: Clients) -> object:
        one = router(clients)
        told.append(one.set(one.observe(), {Colour.BLUE: 90, Colour.GREEN: 10}, {}, 5))
        one.spread(Colour.BLUE, told[-1].generation)
        scene.clock.sleep(60)
        return one.spread(Colour.BLUE, told[-1].generation)

    return Act(do, lambda came: getattr(came, "readiness", None) is Readiness.READY)


ROUTER_CALLS = {
    "alb.observe/tags": Call("DescribeTags", observe(rule)),
    "alb.observe/rule": Call("DescribeRules", observe(rule)),
    "alb.observe/listener": Call("DescribeListeners", observe(listener)),
    "alb.set/targets": Call("DescribeTargetHealth", switch(rule)),
    "alb.set/tag": Call("AddTags", switch(rule)),
    "alb.set/rule": Call("ModifyRule", switch(rule)),
    "alb.set/listener": Call("ModifyListener", switch(listener)),
    "alb.set/tidy": Call("RemoveTags", switch(rule)),
    "route53.observe": Call("ListResourceRecordSets", observe(records)),
    "route53.set": Call("ChangeResourceRecordSets", switch(records), "InvalidChangeBatch"),
    "route53.spread": Call("GetChange", spread),
}
