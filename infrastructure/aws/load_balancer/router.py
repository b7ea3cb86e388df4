"""The router on a load balancer: the weights of two target groups, and a tag that names their writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from deployment.errors import CloudError, CloudUnreachable, LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Progress, Readiness, Routes
from deployment.ports import Clock
from infrastructure.aws.errors import aws_code
from infrastructure.aws.load_balancer.requests import Actions, Reading, reading, with_weights
from infrastructure.aws.routes import Stamp, same, wanted
from infrastructure.aws.session import Clients

TAG = "deployment-routes:"
"""The prefix of our tags' keys; the fencing token follows it, and the value is a Stamp.

Each token has its own key: no writer can overwrite the tag of a later one, however long it slept before its write.
"""

_WRITE_ATTEMPTS = 2
_READ_ATTEMPTS = 5
_READ_BACK_S = 15.0
"""How many seconds an accepted write may take until it can be read back."""
_PAUSE_S = 0.5
_REFUSED_STICKINESS = frozenset({"InvalidConfigurationRequest", "ValidationError"})
"""AWS's codes for actions whose stickiness does not fit their target groups."""


class AlbRouter:
    """The Router port on a listener's rule, or on a listener's default action (``arn`` names either).

    A load balancer has no compare-and-set. So the router reads everything right before a write and compares it with
    ``seen``; it writes the tag first and the weights second, and reads both back. A writer that then finds a later
    fencing token was overtaken during its write: it restores the later writer's weights and raises LeaseLost. Between
    the two calls traffic may go where the overtaken writer sent it; without compare-and-set this cannot be avoided.
    """

    settling_s = 0.0
    """The load balancer follows within seconds, and the platform stops no task of a target group that has requests."""

    def __init__(self, clients: Clients, arn: str, target_groups: Mapping[Colour, str], clock: Clock) -> None:
        self._clients = clients
        self._arn = arn
        self._groups = target_groups
        self._clock = clock
        self._is_rule = ":listener-rule/" in arn
        self._place = "the listener's rule" if self._is_rule else "the listener's default action"

    def observe(self) -> Routes:
        """Return the routes as one consistent reading. Raises SwitchFailed if they name no colour, CloudError."""
        return self._read().routes

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        """Write tag and weights. Raises as the port describes; CloudError if a colour has no healthy target.

        ``origins`` are ignored: the target groups belong to the estate.
        """
        del origins
        if token < seen.fence:
            raise LeaseLost(f"the routes were written under fencing token {seen.fence}, this run holds {token}")
        goal = wanted(seen, weights, token)
        before = self._read()
        if same(before.routes, goal):
            return before.routes  # this write has been made already
        if before.routes.revision != seen.revision:
            raise self._overtaken(before, seen, token)
        self._require_healthy_targets(goal)
        self._write_surely(
            lambda: self._stamp(str(Stamp.of(goal))), lambda now: now.stamp == str(Stamp.of(goal)), token
        )
        if (now := self._read()).routes.fence > token:
            raise self._lost(now, token)
        try:
            self._write_surely(
                lambda: self._modify(before.actions, goal.weights), lambda now: same(now.routes, goal), token
            )
        except CloudError as error:
            self._restore_tags(before, token, error)
            raise
        written = self._read_back(goal, token)
        self._remove_old_tags(token)
        return written

    def spread(self, live: Colour, generation: int) -> Progress:
        """Return READY: a load balancer routes each request by its weights, and these were read back."""
        del generation
        return Progress(Readiness.READY, f"the load balancer sends to {live}")

    def _read(self) -> Reading:
        for _ in range(_READ_ATTEMPTS):
            stamp = _newest(self._tags())
            actions = self._actions()
            if _newest(self._tags()) == stamp:
                return reading(actions, stamp, self._groups, self._place)
        raise SwitchFailed(f"the routes changed {_READ_ATTEMPTS} times while they were read")

    def _write_surely(self, write: Callable[[], object], arrived: Callable[[Reading], bool], token: int) -> None:
        """Write; if the answer is lost, read the result. Raises CloudError if AWS refuses; else SwitchFailed, LeaseLost."""
        for _ in range(_WRITE_ATTEMPTS):
            try:
                write()
                return
            except CloudUnreachable as error:
                try:
                    now = self._read()
                except CloudError as unread:
                    raise SwitchFailed(
                        f"{error.message}; and the routes could not be read back: {unread.message}"
                    ) from error
                if now.routes.fence > token:
                    raise self._lost(now, token) from error
                if arrived(now):
                    return
        raise SwitchFailed(
            f"writing the routes got no usable answer {_WRITE_ATTEMPTS} times",
            hint="The write may still arrive: read the routes again before anything else (`python scripts/deploy.py status`).",
        )

    def _read_back(self, goal: Routes, token: int) -> Routes:
        deadline = self._clock.monotonic() + _READ_BACK_S
        while True:
            try:
                now = self._read()
            except CloudError as error:
                raise SwitchFailed(
                    f"the routes were written (generation {goal.generation}, {goal.live}) "
                    f"and cannot be read: {error.message}"
                ) from error
            if now.routes.fence > token:
                raise self._lost(self._restore_later_weights(now), token)
            if same(now.routes, goal):
                return now.routes
            if self._clock.monotonic() >= deadline:
                raise SwitchFailed(
                    f"the routes were written (generation {goal.generation}, {goal.live}) and read back as "
                    f"generation {now.routes.generation}, {now.routes.live}: another program writes them, too"
                )
            self._clock.sleep(_PAUSE_S)

    def _restore_later_weights(self, now: Reading) -> Reading:
        """Undo a write of ours that came after a later one: restore the weights in the later writer's stamp."""
        for _ in range(_WRITE_ATTEMPTS):
            meant = now.stamped_weights
            if meant is None:
                return now
            try:
                self._modify(now.actions, meant)
                now = self._read()
            except CloudError as error:
                raise SwitchFailed(
                    f"fencing token {now.routes.fence} wrote the routes at the same time as this run; this run's write "
                    f"came last and could not be undone: {error.message}"
                ) from error
        return now

    def _restore_tags(self, before: Reading, token: int, refused: CloudError) -> None:
        """Restore the tags after AWS refused the weights: they must not record a switch that did not happen."""
        try:
            if before.routes.fence == token and before.stamp is not None:
                self._stamp(before.stamp)
            else:
                self._call("RemoveTags", ResourceArns=[self._arn], TagKeys=[f"{TAG}{token}"])
        except CloudError as error:
            raise SwitchFailed(f"{refused.message}; and the tag could not be restored: {error.message}") from refused

    def _remove_old_tags(self, token: int) -> None:
        """Remove the tags of earlier tokens; a tag that stays does no harm, and the next writer tries again."""
        try:
            old = [key for key in self._tags() if _token(key) < token]
            if old:
                self._call("RemoveTags", ResourceArns=[self._arn], TagKeys=old)
        except CloudError:
            return

    def _require_healthy_targets(self, goal: Routes) -> None:
        """Raise CloudError if a colour that is to get traffic has no healthy target."""
        for colour, weight in goal.weights.items():
            if not weight:
                continue
            answer = self._call("DescribeTargetHealth", TargetGroupArn=self._groups[colour])
            states = [target["TargetHealth"]["State"] for target in answer["TargetHealthDescriptions"]]
            if "healthy" not in states:
                raise CloudError(
                    f"{colour} has no healthy target ({', '.join(sorted(set(states))) or 'none is registered'}): "
                    "no traffic was sent there"
                )

    def _overtaken(self, now: Reading, seen: Routes, token: int) -> LeaseLost | RouteConflict:
        if now.routes.fence > token:
            return self._lost(now, token)
        return RouteConflict(
            f"the routes are at generation {now.routes.generation} ({now.routes.live}), "
            f"no longer at {seen.generation} ({seen.live})"
        )

    def _lost(self, now: Reading, token: int) -> LeaseLost:
        return LeaseLost(f"fencing token {now.routes.fence} has written the routes, this run holds {token}")

    def _tags(self) -> Mapping[str, str]:
        found = self._call("DescribeTags", ResourceArns=[self._arn])["TagDescriptions"]
        tags = {str(tag["Key"]): str(tag["Value"]) for one in found for tag in one.get("Tags", ())}
        return {key: value for key, value in tags.items() if key.startswith(TAG) and key.removeprefix(TAG).isdecimal()}

    def _stamp(self, text: str) -> None:
        fence = Stamp.parse(text, "the stamp").fence
        self._call("AddTags", ResourceArns=[self._arn], Tags=[{"Key": f"{TAG}{fence}", "Value": text}])

    def _actions(self) -> Actions:
        if self._is_rule:
            rules = self._call("DescribeRules", RuleArns=[self._arn])["Rules"]
            return _only(rules, self._place).get("Actions", ())  # type: ignore[no-any-return]  # as AWS gives it
        listeners = self._call("DescribeListeners", ListenerArns=[self._arn])["Listeners"]
        return _only(listeners, self._place).get("DefaultActions", ())  # type: ignore[no-any-return]  # likewise

    def _modify(self, actions: Actions, weights: Mapping[Colour, int]) -> None:
        *preferred, last = with_weights(actions, weights, self._groups, self._place)
        for request in preferred:
            try:
                self._send(request)
            except CloudError as error:
                if aws_code(error) not in _REFUSED_STICKINESS:
                    raise
            else:
                return
        self._send(last)

    def _send(self, actions: Actions) -> None:
        if self._is_rule:
            self._call("ModifyRule", RuleArn=self._arn, Actions=actions)
        else:
            self._call("ModifyListener", ListenerArn=self._arn, DefaultActions=actions)

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("elbv2", operation, **parameters)


def _token(key: str) -> int:
    return int(key.removeprefix(TAG))


def _newest(tags: Mapping[str, str]) -> str | None:
    """Return the stamp under the latest fencing token; None without any."""
    return tags[max(tags, key=_token)] if tags else None


def _only(found: Any, place: str) -> Mapping[str, Any]:
    if len(found) != 1:
        raise SwitchFailed(f"{place} cannot be read: AWS returned {len(found)} of them, expected 1")
    only: Mapping[str, Any] = found[0]
    return only
