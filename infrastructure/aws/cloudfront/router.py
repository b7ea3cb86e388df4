"""The router on CloudFront: its function reads the colour from a KeyValueStore, which is written with compare-and-set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployment.errors import CloudError, CloudUnreachable, LeaseLost, NotFound, RouteConflict, SwitchFailed
from deployment.model import Colour, Progress, Readiness, Routes
from infrastructure.aws.errors import aws_code
from infrastructure.aws.routes import wanted
from infrastructure.aws.session import KEY_VALUE_STORE, Clients

_WRITE_ATTEMPTS = 2
_READ_ATTEMPTS = 5
"""How often a read starts again because another run wrote in between; writers are few, and each holds the lease."""
SETTLING_S = 300.0
"""60 s until each edge location has a write (others measured seconds to low tens of seconds; AWS names no figure), 120 s until
the last request that it sent before that has ended, and 120 s until CloudWatch has published the requests of that time."""


class CloudFrontRouter:
    """The Router port on a CloudFront KeyValueStore; its ETag is the routes' revision."""

    def __init__(self, clients: Clients, key_value_store_arn: str, settling_s: float = SETTLING_S) -> None:
        """``settling_s``: see ``deployment.ports.Router``; 0 if there is one edge location, which reads each write at once."""
        self.settling_s = settling_s
        self._clients = clients
        self._store = key_value_store_arn

    def observe(self) -> Routes:
        """Return the routes as one consistent reading. Raises SwitchFailed if a key is missing or malformed, CloudError."""
        for _ in range(_READ_ATTEMPTS):
            # ETag first: if the values are newer, the next write conflicts. With the ETag last, that write would overwrite them.
            revision = self._revision()
            values = {key: self._value(key) for key in ("active", "weights", "generation", "fence")}
            if self._revision() == revision:
                return _routes(values, revision)
        raise SwitchFailed(f"the routes changed {_READ_ATTEMPTS} times while they were read")

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        """Write new weights in one atomic call; if the answer is lost, read the result back. Raises as the port describes."""
        if token < seen.fence:
            raise LeaseLost(f"the routes were written under fencing token {seen.fence}, this run holds {token}")
        goal = wanted(seen, weights, token)
        puts = _puts(goal, origins)
        for _ in range(_WRITE_ATTEMPTS):
            try:
                answer = self._call("UpdateKeys", IfMatch=seen.revision, Puts=puts)
                return _with_revision(goal, answer["ETag"])
            except CloudError as error:
                # A conflict may hide a success, too: the client's own retry may find the values that its first try wrote.
                if aws_code(error) != "ConflictException" and not isinstance(error, CloudUnreachable):
                    raise
                settled = self._resolve_doubt(seen, goal, token, error)
                if settled is not None:
                    return settled
        raise SwitchFailed(
            f"writing generation {goal.generation} got no usable answer {_WRITE_ATTEMPTS} times; "
            f"generation {seen.generation} ({seen.live}) was still there when last read",
            hint="The write may still arrive: read the routes again before anything else (`python scripts/deploy.py status`).",
        )

    def spread(self, live: Colour, generation: int) -> Progress:
        """Return READY at once: the store does not report how far a write has spread.

        Answers through the live domain name their generation, and ``settling_s`` allows for the other edge locations.
        """
        return Progress(Readiness.READY, f"generation {generation} ({live}) is written")

    def _resolve_doubt(self, seen: Routes, goal: Routes, token: int, error: CloudError) -> Routes | None:
        """Read the result of a doubtful write: return the wanted routes, None if they are still ``seen``, or raise."""
        try:
            now = self.observe()
        except CloudError as unread:
            raise SwitchFailed(f"{error.message}; and the routes could not be read back: {unread.message}") from error
        if now == _with_revision(goal, now.revision):
            return now
        if now.fence > token:
            raise LeaseLost(f"fencing token {now.fence} has written the routes, this run holds {token}") from error
        if now.revision == seen.revision and aws_code(error) != "ConflictException":
            return None
        raise RouteConflict(
            f"the routes are at generation {now.generation} ({now.live}), no longer at {seen.generation} ({seen.live})"
        ) from error

    def _revision(self) -> str:
        return str(self._call("DescribeKeyValueStore")["ETag"])

    def _value(self, key: str) -> str | None:
        try:
            return str(self._call("GetKey", Key=key)["Value"])
        except NotFound:
            return None

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call(KEY_VALUE_STORE, operation, KvsARN=self._store, **parameters)


def _puts(goal: Routes, origins: Mapping[Colour, str]) -> list[dict[str, str]]:
    values = {
        "active": str(goal.live),
        "weights": _weights(goal.weights),
        "generation": str(goal.generation),
        "fence": str(goal.fence),
        **{f"origin.{colour}": origin for colour, origin in origins.items()},
    }
    return [{"Key": key, "Value": value} for key, value in values.items()]


def _weights(weights: Mapping[Colour, int]) -> str:
    return json.dumps({str(colour): weight for colour, weight in weights.items()})


def _with_revision(routes: Routes, revision: str) -> Routes:
    return Routes(routes.live, routes.weights, routes.generation, revision, routes.fence)


def _routes(values: Mapping[str, str | None], revision: str) -> Routes:
    try:
        live = Colour(_present(values, "active"))
        loaded = json.loads(_present(values, "weights"))
        weights = {colour: loaded[str(colour)] for colour in Colour}
        generation = int(_present(values, "generation"))
        # The estate is created without a fence; the first deployment writes it.
        fence = int(values["fence"] or 0)
    except (ValueError, KeyError, TypeError) as error:
        raise SwitchFailed(f"the key value store holds no valid routes: {_shown(values)}") from error
    percentages = all(type(weight) is int and 0 <= weight <= 100 for weight in weights.values())
    if not percentages or sum(weights.values()) != 100 or weights[live] < weights[live.other]:
        raise SwitchFailed(f"the key value store contradicts itself: {_shown(values)}")
    return Routes(live, weights, generation, revision, fence)


def _present(values: Mapping[str, str | None], key: str) -> str:
    value = values[key]
    if value is None:
        raise KeyError(key)
    return value


def _shown(values: Mapping[str, str | None]) -> str:
    return ", ".join(f"{key} is {'missing' if value is None else repr(value[:80])}" for key, value in values.items())
