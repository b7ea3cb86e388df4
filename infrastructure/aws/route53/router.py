"""The router on Route 53: weighted records, for colours that each have a load balancer of their own.

How long a switch takes: Route 53's own servers have it within about a minute (INSYNC). A client that asked before may keep
the old answer for its TTL. A client with an open connection keeps using it, regardless of DNS, until one side closes it: a
load balancer keeps an idle connection for a minute and a busy one for an hour. Some clients (a JVM without a TTL of its
own) never ask again. So a rollback is as slow as a promotion, and the previous colour must stop only after its own
requests have ended, not after a fixed time. A weight applies to each answer of a resolver, not to each request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deployment.errors import CloudError, CloudUnreachable, LeaseLost, RouteConflict, SwitchFailed
from deployment.model import Colour, Progress, Readiness, Routes
from deployment.ports import Clock
from infrastructure.aws.errors import aws_code
from infrastructure.aws.route53.records import STAMP_LABEL, Reading, RecordSet, batch, reading, targets
from infrastructure.aws.route53.resolvers import NoAnswer, addresses
from infrastructure.aws.routes import same, wanted
from infrastructure.aws.session import Clients

_WRITE_ATTEMPTS = 2
_READ_ATTEMPTS = 5
_CHANGED_SINCE = frozenset({"InvalidChangeBatch", "InvalidInput"})


class Route53Router:
    """The Router port on a pair of weighted records; ``resolvers`` are those that must have learned of a switch."""

    settling_s = 0.0
    """``spread`` waits for resolvers and TTL, and the platform stops no task of a target group that has requests."""

    def __init__(
        self,
        clients: Clients,
        hosted_zone_id: str,
        record_name: str,
        set_identifiers: Mapping[Colour, str],
        resolvers: Sequence[str],
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._zone = hosted_zone_id
        self._name = record_name.rstrip(".").lower()
        self._identifiers = set_identifiers
        self._resolvers = resolvers
        self._clock = clock
        self._changes: dict[int, str] = {}
        """The change that wrote a generation; known only to this process, and only if its answer arrived."""
        self._in_sync: dict[int, float] = {}
        self._last: Reading | None = None

    def observe(self) -> Routes:
        """Return the records as Route 53 keeps them, even before its servers have them. Raises SwitchFailed, CloudError."""
        return self._read().routes

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        """Write both weights and the stamp in one batch; Route 53 refuses all of it if another run wrote since ``seen``.

        ``origins`` are ignored: the targets of the records belong to the estate.
        """
        del origins
        if token < seen.fence:
            raise LeaseLost(f"the routes were written under fencing token {seen.fence}, this run holds {token}")
        goal = wanted(seen, weights, token)
        doubt: CloudError | None = None
        for _ in range(_WRITE_ATTEMPTS):
            before = self._read() if doubt is None else self._read_after(doubt)
            if same(before.routes, goal):
                return before.routes  # this write has been made already, or its answer was lost
            if before.routes.revision != seen.revision:
                raise self._overtaken(before, seen, token)
            try:
                self._write(before, goal)
            except CloudUnreachable as error:
                doubt = error  # its result is read before the next try
                continue
            except CloudError as error:
                if aws_code(error) not in _CHANGED_SINCE:
                    raise
                self._refused(error, seen, goal, token)
            return self._read_back(goal, token)
        if doubt is not None and same(self._read_after(doubt).routes, goal):
            return self._read_back(goal, token)
        raise SwitchFailed(
            f"writing generation {goal.generation} got no usable answer {_WRITE_ATTEMPTS} times; "
            f"generation {seen.generation} ({seen.live}) was still there when last read",
            hint="The write may still arrive: read the routes again before anything else (`python scripts/deploy.py status`).",
        )

    def spread(self, live: Colour, generation: int) -> Progress:
        """Return READY once Route 53's servers and the resolvers have the change, and no cache may hold the old answer.

        A change that another process wrote counts as in sync from the first call here.
        """
        if generation in self._changes and generation not in self._in_sync:
            status = self._call("GetChange", Id=self._changes[generation])["ChangeInfo"]["Status"]
            if status != "INSYNC":
                return Progress(Readiness.NOT_YET, f"Route 53's own servers do not all have the change yet ({status})")
        since = self._in_sync.setdefault(generation, self._clock.monotonic())
        now = self._last
        if now is None or now.routes.generation != generation:
            now = self._read()
        behind = self._behind(now, live) if 100 in now.routes.weights.values() else None
        if behind is not None:
            return Progress(Readiness.NOT_YET, behind)
        left = now.ttl_s - (self._clock.monotonic() - since)
        if left > 0:
            return Progress(Readiness.NOT_YET, f"caches may keep the former answer for {left:.0f} s more")
        return Progress(Readiness.READY, f"{self._name} leads to {live}, according to {', '.join(self._resolvers)}")

    def _behind(self, now: Reading, live: Colour) -> str | None:
        """Return which resolver does not lead to the live colour yet, or that none answers; None if each that answers does."""
        silent: list[str] = []
        for resolver in self._resolvers:
            try:
                answer, expected, other = (self._seen_by(resolver, now, colour) for colour in (None, live, live.other))
            except NoAnswer as error:
                silent.append(str(error))
                continue
            if not answer & expected or answer & (other - expected):
                shown = ", ".join(sorted(answer)) or "no address"
                return f"{resolver} does not lead to {live} yet: {self._name} is {shown}"
        return f"no resolver can be asked: {'; '.join(silent)}" if len(silent) == len(self._resolvers) else None

    def _seen_by(self, resolver: str, now: Reading, colour: Colour | None) -> frozenset[str]:
        """Return the addresses of the weighted name (colour None), or those that a colour's records lead to."""
        found: frozenset[str] = frozenset()
        for kind, name, own in targets(now.records[colour or Colour.BLUE]):
            if colour is None:
                found |= addresses(resolver, self._name, kind)
            else:
                found |= own if name is None else addresses(resolver, name, kind)
        return found

    def _write(self, before: Reading, goal: Routes) -> None:
        comment = f"generation {goal.generation}: {goal.live}, fencing token {goal.fence}"
        changes = batch(before, goal, self._name)
        answer = self._call(
            "ChangeResourceRecordSets", HostedZoneId=self._zone, ChangeBatch={"Comment": comment, "Changes": changes}
        )
        self._changes[goal.generation] = answer["ChangeInfo"]["Id"]
        self._in_sync.pop(goal.generation, None)

    def _refused(self, error: CloudError, seen: Routes, goal: Routes, token: int) -> None:
        """Raise the error of a refused batch, unless the batch was the second try of a write that succeeded."""
        now = self._read_after(error)
        if same(now.routes, goal):
            return
        if now.routes.revision == seen.revision:
            raise error  # no other run wrote: the batch itself is wrong
        raise self._overtaken(now, seen, token) from error

    def _read_after(self, doubt: CloudError) -> Reading:
        """Return a reading after a write whose outcome is unknown. Raises SwitchFailed if the reading fails."""
        try:
            return self._read()
        except CloudError as unread:
            raise SwitchFailed(f"{doubt.message}; and the routes could not be read back: {unread.message}") from doubt

    def _read_back(self, goal: Routes, token: int) -> Routes:
        try:
            now = self._read().routes
        except CloudError as error:
            raise SwitchFailed(
                f"the routes were written (generation {goal.generation}, {goal.live}) and cannot be read: {error.message}"
            ) from error
        if same(now, goal):
            return now
        if now.fence > token:
            raise LeaseLost(f"fencing token {now.fence} has written the routes, this run holds {token}")
        raise SwitchFailed(
            f"the routes were written (generation {goal.generation}, {goal.live}) and read back as "
            f"generation {now.generation}, {now.live}: another program writes them, too"
        )

    def _overtaken(self, now: Reading, seen: Routes, token: int) -> LeaseLost | RouteConflict:
        routes = now.routes
        if routes.fence > token:
            return LeaseLost(f"fencing token {routes.fence} has written the routes, this run holds {token}")
        return RouteConflict(
            f"the routes are at generation {routes.generation} ({routes.live}), "
            f"no longer at {seen.generation} ({seen.live})"
        )

    def _read(self) -> Reading:
        for _ in range(_READ_ATTEMPTS):
            stamp = self._stamp()
            sets = self._sets(self._name)
            if self._stamp() == stamp:
                found = self._last = reading(sets, stamp, self._identifiers, self._name)
                return found  # not the field, because a watch may read beside this thread
        raise SwitchFailed(f"the routes changed {_READ_ATTEMPTS} times while they were read")

    def _stamp(self) -> RecordSet | None:
        return next((one for one in self._sets(f"{STAMP_LABEL}.{self._name}") if one["Type"] == "TXT"), None)

    def _sets(self, name: str) -> Sequence[RecordSet]:
        """Return the record sets of one name. Route 53 lists from a name on: one page suffices unless it has many types."""
        found: list[RecordSet] = []
        place: dict[str, str] = {"StartRecordName": name}
        while True:
            answer = self._call("ListResourceRecordSets", HostedZoneId=self._zone, MaxItems="20", **place)
            own = [one for one in answer["ResourceRecordSets"] if str(one["Name"]).rstrip(".").lower() == name]
            found += own
            if not answer.get("IsTruncated") or len(own) < len(answer["ResourceRecordSets"]):
                return found
            place = {"StartRecordName": answer["NextRecordName"], "StartRecordType": answer["NextRecordType"]}
            if answer.get("NextRecordIdentifier"):
                place["StartRecordIdentifier"] = answer["NextRecordIdentifier"]

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        return self._clients.call("route53", operation, **parameters)
