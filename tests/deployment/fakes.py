"""A fake cloud for the machine: two colours, routes, a lease and users in memory. Only ``sleep`` moves its clock.

Every call of a port passes ``FakeCloud.call``, which counts it, records the length of the journal, and raises the errors
that a test has set.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from deployment.clock import process_identity
from deployment.errors import LeaseHeld, LeaseLost, RouteConflict, UnknownTag
from deployment.model import (
    Answer,
    Colour,
    Configuration,
    Findings,
    Holder,
    Image,
    Progress,
    Readiness,
    Rollout,
    Routes,
    Service,
)

BLUE, GREEN = Colour.BLUE, Colour.GREEN
LIST = "GET /consults"
PROVISION_POLLS = 2


class Killed(BaseException):
    """The death of the process: no code handles it, and later calls have no effect."""


def dead(holder: Holder) -> Holder:
    """Return the holder as a process of this machine that has ended: its pid was given to a later process."""
    return replace(holder, process_started=0.0, process_identity=f"{(process_identity() or '').rpartition(' ')[0]} 1")


def elsewhere(holder: Holder, host: str = "a-runner-far-away") -> Holder:
    """Return the holder as a process of another machine, which has the same pid."""
    return replace(holder, host=host, process_identity=f"another-boot pid:[4026531836] {holder.pid} 1")


def image(version: str) -> Image:
    digest = "sha256:" + version.replace(".", "") * 20
    return Image("telehealth-api", version, digest, version, f"registry/telehealth-api@{digest}")


OLD, NEW = image("1.0.0"), image("1.1.0")


class FakeClock:
    """A clock that only ``sleep`` moves. A test sets ``begin`` if work beside the thread should hang."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self.cloud: FakeCloud | None = None
        self.begin: Callable[[Callable[[], None]], object] = lambda work: work()

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC) + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    def sleep(self, seconds: float) -> None:
        if self.cloud is None:
            self.elapsed += seconds
            return
        with self.cloud.call("sleep"):
            self.elapsed += seconds

    def beside(self, work: Callable[[], None]) -> None:
        self.begin(work)


@dataclass
class Side:
    """The service of one colour.

    ``error``: the problem of its answers if it fails its health check, with this ``status``; None: it gives no answer.
    ``unhealthy``: the problem that the platform reports. ``fails_users``: the problem, or the problems, that users have
    although the health check passes. ``only_gateway``: every request fails, with the answer of a gateway. ``wanted``: the number of instances that are wanted, ``healthy``: of those that are
    healthy, to which each description adds ``growth``.
    """

    image: Image | None = None
    running: bool = False
    error: str | None = None
    status: int | None = 500
    version: str | None = None
    polls: int = 0
    unhealthy: str | None = None
    fails_users: str | tuple[str, ...] | None = None
    only_gateway: bool = False
    configuration: str | None = None
    wanted: int = 2
    healthy: int = 2
    growth: int = 1

    def missing(self) -> str | None:
        """Return which instances are missing, and let more become healthy."""
        text = f"{self.healthy} of {self.wanted} targets are registered and healthy"
        missing = text if self.healthy < self.wanted else None
        self.healthy = min(self.healthy + self.growth, max(self.wanted, self.healthy))
        return missing


@dataclass
class FakeCloud:
    """Everything outside the process, and the faults of its calls.

    ``next_errors``: by name of the call, an error (or None) for each of the next calls. ``constant_errors``: an error for
    every call of that name. ``hooks``: functions that run before a call of that name. ``trap``: one error before or after
    the call with that number.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    spreads: int = 0  # polls until a switch has reached every resolver
    sides: dict[Colour, Side] = field(default_factory=lambda: {BLUE: Side(OLD, True), GREEN: Side()})
    routes: Routes = field(default_factory=lambda: Routes(BLUE, {BLUE: 100, GREEN: 0}, 7, "etag-7"))
    calls: list[tuple[str, int]] = field(default_factory=list)
    next_errors: dict[str, list[BaseException | None]] = field(default_factory=dict)
    constant_errors: dict[str, Exception] = field(default_factory=dict)
    hooks: dict[str, Callable[[], None]] = field(default_factory=dict)
    trap: tuple[int, str, type[BaseException]] | None = None
    journal_length: Callable[[], int] = lambda: 0
    dead: bool = False
    written: list[tuple[float, Routes]] = field(default_factory=list)  # when (s of the clock) which routes came

    def __post_init__(self) -> None:
        self.clock.cloud = self
        self.written.append((float("-inf"), self.routes))

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        """Wrap the effect of one call. A trap raises its error ``before`` or ``after`` the effect."""
        if self.dead:
            raise Killed(name)
        number = len(self.calls)
        self.calls.append((name, self.journal_length()))
        if name in self.hooks:
            self.hooks[name]()
        if name in self.constant_errors:
            raise self.constant_errors[name]
        planned = self.next_errors.get(name)
        error = planned.pop(0) if planned else None
        if error is not None:
            raise error
        self._raise_trap(number, "before")
        yield
        self._raise_trap(number, "after")

    def _raise_trap(self, number: int, moment: str) -> None:
        if self.trap and self.trap[:2] == (number, moment):
            error = self.trap[2]
            self.trap = None
            self.dead = error is Killed
            raise error("trap")

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def serving(self) -> Side:
        """Return the service that users reach."""
        return self.sides[self.routes.live]

    def move(self, colour: Colour, fence: int, weights: Mapping[Colour, int] | None = None) -> None:
        """Send all traffic to ``colour``, or split it by ``weights``, as any writer of the routes may do."""
        generation = self.routes.generation + 1
        shares = dict(weights or {colour: 100, colour.other: 0})
        self.routes = Routes(colour, shares, generation, f"etag-{generation}", fence)
        self.written.append((self.clock.elapsed, self.routes))


class FakePlatform:
    """A platform whose colours are ready after ``PROVISION_POLLS`` polls."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.stuck: str | None = None
        self.configurations = {colour: Configuration({}, {}, {}) for colour in Colour}

    def describe(self, colour: Colour) -> Service:
        with self.cloud.call("describe"):
            side = self.cloud.sides[colour]
            if side.image is None:
                return Service(colour, "ABSENT")
            status = "RUNNING" if side.running else "PAUSED"
            url = f"https://{colour}.test"
            digest = side.image.digest
            origin, configuration = f"{colour}.test", side.configuration
            return Service(
                colour,
                status,
                side.running,
                False,
                digest,
                origin,
                url,
                configuration,
                unhealthy=side.unhealthy or side.missing(),
            )

    def configured(self, colour: Colour) -> Configuration | None:
        with self.cloud.call("configured"):
            return None if self.cloud.sides[colour].image is None else self.configurations[colour]

    def provision(self, colour: Colour, image: Image) -> Rollout:
        with self.cloud.call("provision"):
            self.cloud.sides[colour] = Side(image, True, polls=0)
            return Rollout(colour, image.digest, "operation-1")

    def progress(self, rollout: Rollout) -> Progress:
        with self.cloud.call("progress"):
            side = self.cloud.sides[rollout.colour]
            side.polls += 1
            if self.stuck:
                return Progress(Readiness.STUCK, self.stuck)
            ready = side.polls > PROVISION_POLLS
            return Progress(Readiness.READY if ready else Readiness.NOT_YET, f"poll {side.polls}")

    def scale(self, colour: Colour) -> None:
        with self.cloud.call("scale"):
            side, other = self.cloud.sides[colour], self.cloud.sides[colour.other]
            assert side.image is not None
            side.wanted = max(side.wanted, other.wanted)

    def retire(self, colour: Colour) -> Rollout | None:
        with self.cloud.call("retire"):
            self.cloud.sides[colour].running = False
            return Rollout(colour, "", "operation-2")

    def stopped(self, colour: Colour) -> Progress:
        with self.cloud.call("stopped"):
            running = self.cloud.sides[colour].running
            return Progress(Readiness.NOT_YET if running else Readiness.READY, "running" if running else "stopped")

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:  # noqa: ARG002  # the port's signature
        with self.cloud.call("logs"):
            return [f"{colour} said goodbye"]


class FakeRouter:
    """A router with compare-and-set and a fencing token."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.settling_s = 0.0

    def observe(self) -> Routes:
        with self.cloud.call("observe"):
            return self.cloud.routes

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:
        assert all(self.cloud.sides[colour].image for colour in origins), "every origin belongs to an existing service"
        with self.cloud.call("set"):
            if token < self.cloud.routes.fence:
                raise LeaseLost("a later token has written")
            if seen.revision != self.cloud.routes.revision:
                raise RouteConflict("the routes changed")
            self.cloud.move(max(weights, key=lambda colour: weights[colour]), token, weights)
            return self.cloud.routes

    def spread(self, live: Colour, generation: int) -> Progress:
        with self.cloud.call("spread"):
            self.cloud.spreads -= 1
            ready = self.cloud.spreads < 0
            return Progress(
                Readiness.READY if ready else Readiness.NOT_YET, f"a resolver to answer with {live}, {generation}"
            )


class FakeLease:
    """A lease with one holder, a growing fencing token, expiry by the fake clock, and notes."""

    def __init__(self, cloud: FakeCloud, ttl_s: float) -> None:
        self.cloud = cloud
        self.ttl = timedelta(seconds=ttl_s)
        self.holder: Holder | None = None
        self.token = 0
        self.kept: dict[str, str] = {}

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        with self.cloud.call("acquire"):
            there = self.holder
            if there and there.expires_at > self.cloud.clock.now() and there.token != take_over:
                raise LeaseHeld(there)
            self.token += 1
            now = self.cloud.clock.now()
            self.holder = replace(holder, token=self.token, since=now, expires_at=now + self.ttl)
            return self.holder

    def renew(self, holder: Holder) -> Holder:
        with self.cloud.call("renew"):
            if self.holder is None or self.holder.token != holder.token:
                raise LeaseLost("this holder does not have the lease")
            self.holder = replace(holder, expires_at=self.cloud.clock.now() + self.ttl)
            return self.holder

    def check(self, holder: Holder) -> None:
        with self.cloud.call("check"):
            self._assert_held(holder)

    def release(self, holder: Holder) -> None:
        with self.cloud.call("release"):
            if self.holder and self.holder.token == holder.token:
                self.holder = None

    def current(self) -> Holder | None:
        with self.cloud.call("current"):
            return self.holder

    def note(self, holder: Holder, notes: Mapping[str, str | None]) -> None:
        with self.cloud.call("note"):
            self._assert_held(holder)
            self.kept |= {name: text for name, text in notes.items() if text is not None}
            for name in [name for name, text in notes.items() if text is None]:
                self.kept.pop(name, None)

    def notes(self) -> Mapping[str, str]:
        with self.cloud.call("notes"):
            return dict(self.kept)

    def swap_note(self, name: str, seen: str | None, text: str) -> bool:
        with self.cloud.call("swap_note"):
            if self.kept.get(name) != seen:
                return False
            self.kept[name] = text
            return True

    def _assert_held(self, holder: Holder) -> None:
        there = self.holder
        if there is None or there.token != holder.token or there.expires_at <= self.cloud.clock.now():
            raise LeaseLost("this holder does not have the lease")


class Edges:
    """The locations of a front door: each obeys written routes after a delay of its own, up to ``longest_s`` seconds.

    A connection reaches one location at random, which sends it to a colour at random, by the weights that it knows.
    """

    def __init__(self, cloud: FakeCloud, longest_s: float, seed: int = 0, count: int = 20) -> None:
        self.cloud, self.random = cloud, random.Random(seed)
        self.delays = [longest_s * (number + 1) / count for number in range(count)]

    def connect(self) -> tuple[Colour, int]:
        """Return which colour answers a connection, and under which generation."""
        since = self.cloud.clock.elapsed - self.random.choice(self.delays)
        routes = [known for at, known in self.cloud.written if at <= since][-1]
        return self.random.choices(list(routes.weights), list(routes.weights.values()))[0], routes.generation


class FakeFront:
    """Answers to users, from the routes and the colours. For the live domain the answers of ``script`` come first.

    With ``edges``, written routes reach the users one location after the other.
    """

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        self.script: list[Answer] = []
        self.edges: Edges | None = None

    def ask(self, times: int, url: str | None = None) -> Sequence[Answer]:
        with self.cloud.call("ask"):
            if url is None:
                return [self.script.pop(0) if self.script else self._live() for _ in range(times)]
            colour = GREEN if "green" in url else BLUE
            return [self._of(colour, None, None)] * times

    def examine(self, url: str | None = None, *, every: bool = False) -> Sequence[str]:
        with self.cloud.call("examine"):
            side = self.cloud.routes.live if url is None else GREEN if "green" in url else BLUE
            answer = self._live() if url is None else self._of(side, None, None)
            if not answer.ok:
                found = [answer.problem or "unhealthy"]
                if self.cloud.sides[side].only_gateway:
                    found.append(f"{LIST}: status {answer.status}, expected 200")
                return found if every else found[:1]
            fails = self.cloud.sides[side].fails_users or ()
            found = [fails] if isinstance(fails, str) else list(fails)
            return found if every else found[:1]

    def inspect(self, url: str | None = None, until: Collection[str] = ()) -> Findings:  # noqa: ARG002  # the port's signature
        problems = self.examine(url, every=True)
        side = self.cloud.routes.live if url is None else GREEN if "green" in url else BLUE
        found = self.cloud.sides[side]
        silent = found.error is not None and found.status is None
        answers = found.image is not None and found.running and not found.only_gateway and not silent
        failed = {problem.partition(": ")[0] for problem in problems}
        return Findings(tuple(problems), (LIST,) if answers and LIST not in failed else ())

    def examined(self) -> str:
        return "GET /health"

    def _live(self) -> Answer:
        routes = self.cloud.routes
        colour, generation = self.edges.connect() if self.edges else (routes.live, routes.generation)
        return self._of(colour, colour, generation)

    def _of(self, side_of: Colour, colour: Colour | None, generation: int | None) -> Answer:
        side = self.cloud.sides[side_of]
        if side.image is None or not side.running or side.error:
            status = side.status if side.running and side.error else None
            return Answer(False, colour, generation, None, side.error or "connection refused", status)
        return Answer(True, colour, generation, side.version or side.image.version)


class FakeRegistry:
    """A registry with a few releases by tag."""

    def __init__(self, *images: Image) -> None:
        self.images = images or (OLD, NEW)

    def resolve(self, tag: str) -> Image:
        for known in self.images:
            if known.tag == tag:
                return known
        raise UnknownTag(f"no {tag}; there are {', '.join(self.tags())}")

    def find(self, digest: str) -> Image | None:
        return next((known for known in self.images if known.digest == digest), None)

    def tags(self) -> Sequence[str]:
        return [known.tag for known in self.images]
