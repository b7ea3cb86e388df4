"""The calls of the ALB and Route 53 routers, each with an action that makes it."""

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
"""Estates are made once for each set of clients: a test changes only the generation of one."""


def rule(scene: Scene) -> Make:
    def make() -> Make:
        made = balancer(scene.clean, f"r{uuid4().hex[:12]}")
        return lambda clients: AlbRouter(clients, made.rule, made.groups, scene.clock)

    return _once("rule", scene, make)


def listener(scene: Scene) -> Make:
    def make() -> Make:
        made = balancer(scene.clean, f"l{uuid4().hex[:12]}")
        return lambda clients: AlbRouter(clients, made.listener, made.groups, scene.clock)

    return _once("listener", scene, make)


def records(scene: Scene) -> Make:
    """Make a new zone each time: moto keeps all changes, and a record that existed once still exists for it."""
    name = f"z{uuid4().hex[:12]}"
    hosted = zone(scene.clean, name)
    return lambda clients: Route53Router(clients, hosted, f"api.{name}.example", IDENTIFIERS, [], scene.clock)


def _once(kind: str, scene: Scene, make: Callable[[], Make]) -> Make:
    key = (kind, id(scene.clean))
    if key not in _MADE:
        _MADE[key] = make()
    return _MADE[key]


def observe(make: Callable[[Scene], Make]) -> Callable[[Scene], Act]:
    def scene_of(scene: Scene) -> Act:
        router = make(scene)
        return Act(lambda clients: router(clients).observe(), lambda result: result == router(scene.clean).observe())

    return scene_of


def switch(make: Callable[[Scene], Make]) -> Callable[[Scene], Act]:
    """Switch traffic to the other colour under the next fencing token, so that a former token's tag must be removed."""

    def scene_of(scene: Scene) -> Act:
        router = make(scene)
        clean = router(scene.clean)
        seen = clean.observe()
        token, to = seen.fence + 1, seen.live.other
        if not seen.generation:
            seen = clean.set(seen, {seen.live: 100, to: 0}, {}, token)
            token += 1

        def do(clients: Clients) -> object:
            now = clean.observe()  # a repetition first reads the result of the first time
            return now if now.live is to and now.fence == token else router(clients).set(now, weights(to), {}, token)

        def right(result: object) -> bool:
            now = clean.observe()
            return result == now and (now.live, now.fence) == (to, token) and now.generation > seen.generation

        return Act(do, right)

    return scene_of


def weights(to: Colour) -> dict[Colour, int]:
    return {to: 100, to.other: 0}


def spread(scene: Scene) -> Act:
    """Check in the process that made a change whether all servers have it."""
    router = records(scene)
    written: list[Routes] = []

    def do(clients: Clients) -> object:
        one = router(clients)
        written.append(one.set(one.observe(), {Colour.BLUE: 90, Colour.GREEN: 10}, {}, 5))
        one.spread(Colour.BLUE, written[-1].generation)
        scene.clock.sleep(60)
        return one.spread(Colour.BLUE, written[-1].generation)

    return Act(do, lambda result: getattr(result, "readiness", None) is Readiness.READY)


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
