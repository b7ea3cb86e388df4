"""The data that journeys write to the service: recorded, removed for a run that was killed, read again after a rollback."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from deployment.files import exclusive_lock, problem_of
from deployment.model import ReadBack, Removal
from deployment.ports import FrontDoor, WrittenData
from infrastructure.front_door import HttpFrontDoor
from verification.http.answer_limits import AnswerLimits
from verification.http.client import Received, open_client
from verification.journeys.accounts import SmokeUser
from verification.journeys.expectations import NotCaptured
from verification.journeys.ledger import Entry, Ledger, OpenPlay, account_key, create, read
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Journey, Service, Step
from verification.journeys.placeholders import Values
from verification.journeys.player import Play, Prepared, judge, prepare
from verification.journeys.sessions import NotSignedIn, account_of, credentials, sign_in_request, without_request

_GONE = (404, 410)
_FAILURES = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""No answer, or a captured value that no request can carry."""
LONGEST_WRITE_S = 10.0
"""No step begins later than this after the switch: the data must have been written before a rollback."""
READ_WITHIN_S = 10.0
"""The time (s) for reading everything again."""


class HttpJourneyData:
    """The JourneyData port over HTTP. ``users`` are the smoke users; ``timeout_s`` limits each part of a request."""

    def __init__(
        self,
        environment: str,
        live_url: str,
        users: Sequence[SmokeUser],
        service: Service,
        *,
        timeout_s: float,
        answers: AnswerLimits | None = None,
    ) -> None:
        self._environment = environment
        self._live_url = live_url
        self._users = users
        self._service = service
        self._timeout = timeout_s
        self._answers = answers

    def front(self, ledger: Ledger | None = None) -> HttpFrontDoor:
        """Return the front door of the environment; with ``ledger`` it records what its journeys write."""
        user = self._users[0] if self._users else None
        return HttpFrontDoor(
            self._live_url, user, self._service, timeout_s=self._timeout, answers=self._answers, ledger=ledger
        )

    def record(self, ledger: Path, front: FrontDoor) -> FrontDoor:
        """See ``deployment.ports.JourneyData``."""
        try:
            ledger.parent.mkdir(parents=True, exist_ok=True)
            create(ledger, self._environment, self._live_url)
        except OSError:  # a full disk: the run itself reports it, and goes on without a ledger
            return front
        return self.front(self._ledger(ledger))

    def remove(self, ledger: Path, within_s: float) -> Removal | None:
        """See ``deployment.ports.JourneyData``."""
        try:
            with exclusive_lock(ledger) as locked:
                return self._remove(ledger, time.monotonic() + within_s) if locked else None
        except FileNotFoundError:
            return None
        except OSError as error:
            return Removal(left=(f"{ledger.name} cannot be read: {problem_of(error)}",))

    def _remove(self, ledger: Path, deadline: float) -> Removal | None:
        contents = read(ledger)
        if (contents.environment, contents.live_url) != (self._environment, self._live_url):
            return None
        if not contents.open:
            ledger.unlink(missing_ok=True)
            return Removal()
        removed, gone, left = 0, 0, Counter[str]()
        with self._client(self._live_url) as client:
            user = _User(client, self._service, self._users)
            lines = self._ledger(ledger)
            removing = _Removing(user, lines, deadline)
            for play in contents.open:
                try:
                    found = removing.remove(play)
                    removed, gone = removed + found, gone + (found == 0)
                except Exception as error:  # traffic is safe by now, and nothing here may stop the recovery
                    left[f"{play.journey}: {_reason(error)}"] += 1
            lines.close()
            with suppress(Exception):
                user.sign_out()
        if not left:
            ledger.unlink(missing_ok=True)
        return Removal(
            removed, gone, tuple(f"{what} ({times} times)" if times > 1 else what for what, times in left.items())
        )

    def write(self, url: str, ledger: Path | None) -> WrittenData:
        """See ``deployment.ports.JourneyData``."""
        lines = Ledger(None) if ledger is None else self._ledger(ledger)
        return _Written(self._service, self._users, self._client, (url, self._live_url), lines)

    def _client(self, url: str) -> httpx.Client:
        return open_client(url, timeout_s=self._timeout, answers=self._answers)

    def _ledger(self, path: Path) -> Ledger:
        return Ledger(path, [user.password for user in self._users], self._service.private_fields)


class _Left(Exception):
    """Something is left, or may be; the text says why, and quotes no value."""


def _reason(error: Exception) -> str:
    """Return why something is left or not read; only texts of this module, because others may quote a value."""
    return str(error) if isinstance(error, _Left) else type(error).__name__


class _User:
    """The smoke users' sessions at one address, each opened once. Not safe to use from two threads."""

    def __init__(self, client: httpx.Client, service: Service, users: Sequence[SmokeUser]) -> None:
        self.service = service
        self._client = client
        self._accounts = {account_key(account_of(user)): account_of(user) for user in users}
        self._sessions: dict[tuple[str, str | None], Mapping[str, str] | str] = {}

    def account(self, key: str | None) -> Mapping[str, str] | None:
        """Return the account of the ledger's key, None without one. Raises _Left if no smoke user has it any more."""
        if key is None:
            return None
        if key not in self._accounts:
            raise _Left("its account is not one of the smoke users any more")
        return self._accounts[key]

    def headers(self, journey: Journey, key: str | None) -> Mapping[str, str]:
        """Return the headers of the journey's session. Raises _Left if it cannot be opened."""
        if journey.session is None:
            return {}
        place = (journey.session, key)
        if place not in self._sessions:
            self._sessions[place] = self._sign_in(journey.session, self.account(key))
        found = self._sessions[place]
        if isinstance(found, str):
            raise _Left(found)
        return found

    def _sign_in(self, name: str, account: Mapping[str, str] | None) -> Mapping[str, str] | str:
        session, values = self.service.sessions[name], Values(account, "")
        asked = sign_in_request(session, values)
        if asked is None:
            return without_request(session, values).headers
        answer = self.ask(asked)
        if answer is None:
            return f"{asked.step.request}: no answer"
        try:
            return credentials(session, asked, answer).headers
        except NotSignedIn as problem:
            return str(problem)

    def sign_out(self) -> None:
        """End the open sessions."""
        for (name, key), headers in self._sessions.items():
            step = self.service.sessions[name].sign_out
            if step is not None and not isinstance(headers, str):
                self.ask(prepare(step, Values(self.account(key), ""), headers))

    def ask(self, prepared: Prepared) -> Received | None:
        """Return the answer, None if there is none."""
        try:
            headers = dict(prepared.headers)
            return Received(
                self._client.request(prepared.method, prepared.path, headers=headers, content=prepared.body)
            )
        except _FAILURES:
            return None


class _Removing:
    """Removes the data of plays that a dead process left open, and notes each in the ledger."""

    def __init__(self, user: _User, ledger: Ledger, deadline: float) -> None:
        """``deadline``: no request is sent after it (monotonic s)."""
        self._user = user
        self._ledger = ledger
        self._deadline = deadline
        self._swept: set[tuple[str, str | None, object]] = set()

    def remove(self, left: OpenPlay) -> int:
        """Remove what a play left; return how many entries that were. Raises _Left."""
        journey = next((one for one in self._user.service.journeys if one.name == left.journey), None)
        if journey is None:
            raise _Left("suites/service.yaml does not describe this journey any more")
        captured = {name: value for name, value in left.values.items() if name != "marker"}
        values = Values(self._user.account(left.account), str(left.values.get("marker", "")), captured)
        headers = self._user.headers(journey, left.account)
        found, complete = self._undo(removal(journey, values), headers)
        removed = int(found)
        if not complete:
            removed += self._sweep(journey, left, headers)
        Entry(self._ledger, journey, left.key).close()
        return removed

    def _undo(self, undoing: Play, headers: Mapping[str, str]) -> tuple[bool, bool]:
        """Send the ``undo`` steps; return whether one of them removed something, and whether nothing can be left. Raises _Left."""
        left = [step for step in undoing.journey.undo if step.request.writes]
        found = gone = False
        while (step := undoing.next()) is not None:
            prepared = undoing.prepare(headers)
            answer = self._ask(prepared)
            undoing.learn(prepared, answer, quote=False)
            if answer is None:
                raise _Left(f"{step.request}: no answer")
            if answer.status in _GONE:
                gone = gone or not step.request.writes  # so there is nothing that a later step could remove
            elif answer.status >= 400:
                raise _Left(f"{step.request}: status {answer.status}")
            else:
                found = found or step.request.writes
            left = [other for other in left if other is not step]
        return found, gone or not left

    def _sweep(self, journey: Journey, left: OpenPlay, headers: Mapping[str, str]) -> int:
        """Find the data with the play's marker and remove it; return how many entries that were. Raises _Left."""
        place = (journey.name, left.account, left.values.get("marker"))
        if place in self._swept:
            return 0
        sweep = journey.sweep
        if sweep is None:
            why = (
                f"the value of {' and '.join(sorted(left.withheld))} is secret, so it was not recorded"
                if left.withheld
                else "it died before it knew what it had written"
            )
            raise _Left(f"{why}, and the journey has no `sweep`")
        account, marker = self._user.account(left.account), str(left.values.get("marker", ""))
        answer = self._ask(prepare(sweep.step, Values(account, marker), headers))
        if answer is None:
            raise _Left(f"{sweep.step.request}: no answer")
        try:
            entries = swept(sweep, Values(account, marker), answer)
        except NotCaptured as problem:
            raise _Left(f"{sweep.step.request}: {problem}") from None
        removed = [self._undo(removal(journey, Values(account, marker, one)), headers)[0] for one in entries]
        self._swept.add(place)
        return sum(removed)

    def _ask(self, prepared: Prepared) -> Received | None:
        if time.monotonic() > self._deadline:
            raise _Left("the time was over")
        return self._user.ask(prepared)


# -- read again after a rollback -------------------------------------------------------------------------------------------


def readable_part(journey: Journey) -> tuple[int, tuple[Step, ...]] | None:
    """Return how many steps of a journey to play, and those among them that read what was written last.

    The part ends with the last step that reads after one that writes, and before one that deletes: then the data would
    be gone. None if no step reads what another one wrote.
    """
    methods = [step.request.method for step in journey.steps]
    kept = journey.steps[: methods.index("DELETE")] if "DELETE" in methods else journey.steps
    writes = [step.request.writes for step in kept]
    ends = [number for number, one in enumerate(writes) if not one and any(writes[:number])]
    if not ends:
        return None
    end = ends[-1] + 1
    begin = max(number for number in range(end) if writes[number]) + 1
    return end, journey.steps[begin:end]


class _Written:
    """Plays each journey that may write on live, up to the last step that reads, in a thread: no step of the deployment waits for it."""

    def __init__(
        self,
        service: Service,
        users: Sequence[SmokeUser],
        connect: Callable[[str], httpx.Client],
        urls: tuple[str, str],
        ledger: Ledger,
    ) -> None:
        """``urls``: the address that is written to, and the live domain, which is read."""
        self._service = service
        self._users = users
        self._connect = connect
        self._written_to, self._live_url = urls
        self._ledger = ledger
        self._plays: list[tuple[Play, tuple[Step, ...]]] = []
        self._unwritten: list[ReadBack] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="written-after-the-switch", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        deadline = time.monotonic() + LONGEST_WRITE_S
        with self._connect(self._written_to) as client:
            user = _User(client, self._service, self._users)
            for journey in self._service.played_on_live(with_user=bool(self._users)):
                part = readable_part(journey) if journey.live else None
                if part is None:
                    continue
                try:
                    problem = self._play(user, journey, part, deadline)
                except Exception as error:  # an error of this thread would fail a check that runs at the time
                    problem = _reason(error)
                if problem is not None:
                    with self._lock:
                        self._unwritten.append(ReadBack(journey.name, part[1][-1].operation, problem, written=False))
            with suppress(Exception):
                user.sign_out()

    def _play(self, user: _User, journey: Journey, part: tuple[int, tuple[Step, ...]], deadline: float) -> str | None:
        """Play the first part of a journey; return why there is nothing to read again, None if there is."""
        key, account = _key_of(self._service, journey, self._users)
        headers = user.headers(journey, key)
        play = Play(
            journey, Values(account, f"deployment verification {secrets.token_hex(6)}"), self._ledger.entry(journey)
        )
        problem, written = None, False
        for step in journey.steps[: part[0]]:
            if self._over.is_set() or time.monotonic() > deadline:
                problem = "the time was over"
                break
            prepared = play.prepare(headers)
            answer = user.ask(prepared)
            found = play.learn(prepared, answer, quote=False)
            written = written or step.request.writes
            if found is not None or answer is None:
                problem = f"{step.request}: {found or 'no answer'}"
                break
        with self._lock:
            if written:
                self._plays.append((play, part[1] if problem is None else ()))
        return problem

    def read_back(self) -> Sequence[ReadBack]:
        """See ``deployment.ports.WrittenData``."""
        plays = self._wait()
        deadline = time.monotonic() + READ_WITHIN_S
        found = list(self._unwritten)
        with self._connect(self._live_url) as client:
            user = _User(client, self._service, self._users)
            for play, steps in plays:
                for step in steps:
                    if time.monotonic() > deadline:
                        problem: str | None = "not read: the time was over"
                    else:
                        problem = self._read(user, play, step)
                    found.append(ReadBack(play.journey.name, step.operation, problem))
            with suppress(Exception):
                user.sign_out()
        return found

    def _read(self, user: _User, play: Play, step: Step) -> str | None:
        try:
            key, _ = _key_of(self._service, play.journey, self._users)
            prepared = prepare(step, play.values, user.headers(play.journey, key))
            answer = user.ask(prepared)
        except Exception as error:  # traffic is safe by now, and the result decides nothing
            return _reason(error)
        return "no answer" if answer is None else judge(prepared, answer, quote=False)

    def remove(self) -> None:
        """See ``deployment.ports.WrittenData``."""
        plays = self._wait()
        if not plays:
            return
        deadline = time.monotonic() + READ_WITHIN_S
        with self._connect(self._live_url) as client:
            user = _User(client, self._service, self._users)
            for play, _ in plays:
                with suppress(Exception):  # the ledger has the data that is left
                    key, _ = _key_of(self._service, play.journey, self._users)
                    headers = user.headers(play.journey, key)
                    while not play.finished and time.monotonic() < deadline:
                        prepared = play.prepare(headers)
                        play.learn(prepared, user.ask(prepared), quote=False)
            with suppress(Exception):
                user.sign_out()
        self._plays.clear()

    def _wait(self) -> Sequence[tuple[Play, tuple[Step, ...]]]:
        """Return the plays that have written something; a play that is still under way sends no further step."""
        self._over.set()
        self._thread.join(LONGEST_WRITE_S)
        with self._lock:
            return list(self._plays)


def _key_of(
    service: Service, journey: Journey, users: Sequence[SmokeUser]
) -> tuple[str | None, Mapping[str, str] | None]:
    """Return the ledger's key and the fields of the account that plays a journey; None for both without one."""
    if not users or not service.needs_account(journey):
        return None, None
    account = account_of(users[0])
    return account_key(account), account
