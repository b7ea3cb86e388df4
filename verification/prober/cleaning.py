"""Cleans up at the prober's end: removes the data that its plays left, also data of requests whose answers were lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from verification.http.raw_http import FAILURES, Answer, Connection
from verification.journeys.ledger import Entry
from verification.journeys.leftovers import removal, swept
from verification.journeys.model import Sweep
from verification.journeys.placeholders import Values
from verification.journeys.player import Prepared, prepare
from verification.prober.requests import USER_AGENT, Script, Track


class Cleaner:
    """Removes, journey by journey, the data that is known to be left; then the data that has this run's marker."""

    def __init__(self, script: Script, connection: Connection, log: Callable[[str], None]) -> None:
        self._tracks = [track for track in script.tracks if track.wrote]
        self._connection = connection
        self._log = log
        self._removed = 0

    @property
    def left(self) -> int:
        """Return how many plays left something that is not yet removed."""
        return max(0, sum(1 for track in self._tracks for _ in track.left()) - self._removed)

    def run(self) -> None:
        """Send all requests; a request that fails is logged, and the next one is tried."""
        for track in self._tracks:
            headers = self._signed_in(track)
            if headers is None:
                self._log(f"{track.journey.name}: no session, so nothing is removed")
                continue
            for play in list(track.left()):
                self._remove(track, play.values, headers, play.entry)
            if track.journey.sweep is not None:
                self._sweep(track, track.journey.sweep, headers)

    def _signed_in(self, track: Track) -> Mapping[str, str] | None:
        if track.headers is None and track.session is not None and (asked := track.session.sign_in()) is not None:
            track.session.learn(asked, self._ask(asked))
        return track.headers

    def _remove(self, track: Track, values: Values, headers: Mapping[str, str], entry: Entry | None = None) -> bool:
        """Send the ``undo`` steps of a play, whose lines in the ledger are ``entry``; return whether they succeeded."""
        play = removal(track.journey, values, entry)
        problem = None
        while not play.finished:
            prepared = play.prepare(headers)
            answer = self._ask(prepared)
            found = play.learn(prepared, answer, quote=False)
            problem = problem or ("no answer" if answer is None else found)
        self._removed += problem is None
        if problem is not None:
            self._log(f"{track.journey.name}: removing what it wrote: {problem}")
        return problem is None

    def _sweep(self, track: Track, sweep: Sweep, headers: Mapping[str, str]) -> None:
        """Remove the data that has this run's marker."""
        values = track.values()
        answer = self._ask(prepare(sweep.step, values, headers))
        if answer is None:
            return
        try:
            found = swept(sweep, values, answer)
        except ValueError as problem:
            self._log(f"{sweep.step.request}: {problem}")
            return
        removed = []
        for captured in found:
            values = track.values()
            values.learn(captured)
            removed.append(self._remove(track, values, headers))
        if all(removed):
            track.swept()

    def _ask(self, prepared: Prepared) -> Answer | None:
        """Return the answer. None if there is none: the failure is logged, and the next request has a new connection."""
        headers = {"User-Agent": USER_AGENT, **prepared.headers}
        try:
            return self._connection.ask(prepared.method, prepared.path, headers, prepared.body)
        except FAILURES as error:
            self._log(f"{prepared.step.request}: {type(error).__name__}: {error}")
            self._connection.close()
            return None
