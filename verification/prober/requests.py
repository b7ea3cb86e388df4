"""Decides the prober's request at each arrival: the description's journeys, step by step, and health checks between them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from verification.journeys.expectations import Answer, version_of
from verification.journeys.ledger import Ledger
from verification.journeys.model import Journey
from verification.journeys.placeholders import Values, names_in, secret_values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import account_of
from verification.prober.config import ProberConfig
from verification.prober.samples import ConnectionKind
from verification.prober.schedule import HEALTH_TURNS
from verification.prober.session import ProberSession

USER_AGENT = "availability-prober"
MOST_WRITTEN = 20
"""The largest number of open plays that write, over all journeys: none begins before another has removed its data."""

MOST_LEFT = 1000
"""The largest number of finished plays per journey that are remembered for removal: there is no time to remove more at the end."""


@dataclass(frozen=True)
class Ask:
    """One request to send; ``session`` and ``carried`` are its session and the session's headers at that time."""

    prepared: Prepared
    kind: ConnectionKind
    track: Track | None = None
    play: Play | None = None
    session: ProberSession | None = None
    carried: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def operation(self) -> str:
        """Return the name of the step's operation."""
        return self.prepared.step.operation

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of the request; never to be logged."""
        headers = {"User-Agent": USER_AGENT, **self.prepared.headers}
        if self.kind == "fresh":
            headers["Connection"] = "close"
        return headers


@dataclass(frozen=True)
class Judgement:
    """The problem of an answer (None: none), and the version that it named."""

    problem: str | None = None
    version: str | None = None


class Script:
    """Decides the request of each arrival, and learns from the answers. Safe to use from many threads."""

    def __init__(self, config: ProberConfig) -> None:
        self._lock = threading.Lock()
        self._health = config.service.health
        account = {} if config.user is None else account_of(config.user)
        values = partial(Values, account, f"availability probe {config.run}")
        self._arrivals = self._turn = 0
        self._kinds = _Alternation()
        schedule = config.schedule
        names = dict.fromkeys(one.session for one in schedule.journeys if one.session is not None)
        sessions = {
            name: ProberSession(config.service.sessions[name], values(), config.sign_in_pause_s) for name in names
        }
        writing = sum(one.writes for one in schedule.journeys)

        def most_open(journey: Journey) -> int:
            if _names_by_marker(journey):
                return 1
            return max(1, MOST_WRITTEN // writing) if journey.writes else config.max_in_flight

        secrets = [*secret_values(config.service.variables), *([] if config.user is None else [config.user.password])]
        ledger = Ledger(config.ledger, secrets, config.service.private_fields)
        self._tracks = tuple(
            Track(one, values, None if one.session is None else sessions[one.session], most_open(one), ledger)
            for one in schedule.journeys
        )
        self._values = values()
        self._sessions = tuple(sessions.values())
        self._turns = schedule.turns

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return the journeys that are played."""
        return self._tracks

    @property
    def not_asked(self) -> Mapping[str, int]:
        """Return how many requests were left out because an earlier step of their journey had failed, by operation."""
        return sum((track.not_asked for track in self._tracks), Counter())

    def next(self) -> Ask:
        """Return the request of the next arrival; kept and fresh connections alternate for each kind of request."""
        with self._lock:
            of_health = HEALTH_TURNS[self._arrivals % len(HEALTH_TURNS)]
            self._arrivals += 1
            for session in self._sessions:
                if (asked := session.due()) is not None:
                    return Ask(asked, self._kinds.next(session), session=session)
            if not of_health and (step := self._of_a_journey()) is not None:
                return step
            return Ask(prepare(self._health.step, self._values, {}), self._kinds.next(self._health))

    def _of_a_journey(self) -> Ask | None:
        """Return the next step of the journey whose turn it is, or of the first one after it that can go on."""
        for position in range(len(self._turns)):
            track = self._tracks[self._turns[(self._turn + position) % len(self._turns)]]
            if (found := track.take()) is not None:
                self._turn += position + 1
                play, prepared = found
                kind = self._kinds.next(prepared.step)
                return Ask(prepared, kind, track, play, track.session, track.headers or {})
        return None

    def learn(self, ask: Ask, answer: Answer | None) -> Judgement:
        """Take in the answer to a request (None: no answer), and judge it.

        Of a user's answers only the status is quoted.
        """
        with self._lock:
            if ask.track is None or ask.play is None:
                return self._of_health_or_session(ask, answer)
            refused = answer is not None and answer.status == 401 and 401 not in ask.prepared.expect.statuses
            if refused and ask.session is not None:
                ask.session.lost(ask.carried)
            return Judgement(ask.track.learn(ask.play, ask.prepared, answer))

    def _of_health_or_session(self, ask: Ask, answer: Answer | None) -> Judgement:
        if ask.session is not None:
            return Judgement(ask.session.learn(ask.prepared, answer))
        if answer is None:
            return Judgement()
        return Judgement(judge(ask.prepared, answer), version_of(self._health, answer))


def _names_by_marker(journey: Journey) -> bool:
    """Return whether a request that writes names its target by the run's marker, so that two plays would write the same one."""
    writing = [step.request for step in (*journey.steps, *journey.undo) if step.request.writes]
    return any("marker" in names_in([one.path, one.query, one.headers]) for one in writing)


class Track:
    """The plays of one journey. A step waits for the answer to the one before it; other plays go on in that time."""

    def __init__(
        self,
        journey: Journey,
        values: Callable[[], Values],
        session: ProberSession | None,
        most_open: int,
        ledger: Ledger,
    ) -> None:
        """``values`` creates the values of a play: account and marker; ``most_open`` limits the number of open plays."""
        self.journey = journey
        self.session = session
        self.values = values
        self.wrote = False
        self.not_asked: Counter[str] = Counter()
        self._most_open = most_open
        self._ledger = ledger
        self._open: list[Play] = []
        self._ready: deque[Play] = deque()
        self._left: deque[Play] = deque(maxlen=MOST_LEFT)
        self._lost: deque[Play] = deque(maxlen=MOST_LEFT)

    @property
    def headers(self) -> Mapping[str, str] | None:
        """Return the headers of the session's requests; None if it is not signed in."""
        return {} if self.session is None else self.session.headers

    def take(self) -> tuple[Play, Prepared] | None:
        """Return a play and its next request; None without a session, or if each play waits and no other one may begin."""
        headers = self.headers
        if headers is None:
            return None
        if self._ready:
            play = self._ready.popleft()
        elif len(self._open) < self._most_open:
            play = Play(self.journey, self.values(), self._ledger.entry(self.journey))
            self._open.append(play)
        else:
            return None
        prepared = play.prepare(headers)
        self.wrote = self.wrote or prepared.step.request.writes
        return play, prepared

    def learn(self, play: Play, prepared: Prepared, answer: Answer | None) -> str | None:
        """Take in the answer to a play's request; return what is wrong with it."""
        failed = play.failed
        problem = play.learn(prepared, answer, quote=False)
        if play.failed and not failed:
            self.not_asked.update(step.operation for step in self.journey.steps[play.asked :])
        if play.finished:
            self._open.remove(play)
            if play.left_something:
                self._left.append(play)
            elif play.entry.is_open:
                self._lost.append(play)
        else:
            self._ready.append(play)
        return problem

    def left(self) -> Iterator[Play]:
        """Yield each play that may have left something that its captured values can remove."""
        yield from (play for play in (*self._left, *self._open) if play.left_something)

    def swept(self) -> None:
        """Note that all data with this run's marker was looked for and removed."""
        for play in self._lost:
            play.settle()


class _Alternation:
    """Alternates kept and fresh connections for each kind of request; every second kind begins with a fresh one."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def next(self, of: object) -> ConnectionKind:
        """Return the kind of connection for the next request of this kind, which lives as long as this object."""
        count = self._seen.setdefault(id(of), len(self._seen) % 2)
        self._seen[id(of)] = count + 1
        return "kept" if count % 2 == 0 else "fresh"
