"""The output of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from deployment.events import Event, StepBegan, StepEnded, Waiting
from deployment.evidence.sentence import in_environment
from deployment.phases import Phase
from deployment.recovery import status as current
from deployment.recovery.undo import Asker
from deployment.settings import Settings
from infrastructure.compose import Environment
from plugins.signals import Signals
from verification.redaction.redactor import LearningRedactor

_QUIET_S = 5.0
"""A wait of this many seconds is not worth a line."""


def redactor_of(environment: Environment) -> LearningRedactor:
    """Return a redactor that knows the environment's secrets and those of this process."""
    redactor = LearningRedactor()
    redactor.learn(*environment.secrets)
    return redactor


def say(text: str) -> None:
    """Print one line of progress."""
    click.echo(f"  {text}")


class _Waits:
    """Says what a step waits for: at once if it waits for something else than before, otherwise every ``EVERY_S`` seconds."""

    EVERY_S = 30.0

    def __init__(self) -> None:
        self._said: tuple[str, str] | None = None
        self._at = 0.0

    def show(self, happened: Waiting) -> None:
        what = (happened.step, _NUMBERS.sub("", happened.detail))
        if what != self._said or not 0 <= happened.elapsed_s - self._at < self.EVERY_S:
            self._said, self._at = what, happened.elapsed_s
            click.echo(f"{happened.step:<10} waiting ({happened.elapsed_s:.0f} s): {happened.detail}")


_NUMBERS = re.compile(r"\d+")
_WAITS = _Waits()


def event(happened: Event) -> None:
    """Print one event of a deployment."""
    if isinstance(happened, Waiting) and happened.elapsed_s >= _QUIET_S:
        _WAITS.show(happened)
    elif isinstance(happened, StepBegan):
        click.echo(f"{happened.step:<10} {happened.what} ...")
    elif isinstance(happened, StepEnded):
        word = "" if happened.passed else "FAILED: "
        click.echo(f"{happened.step:<10} {word}{happened.detail} ({happened.duration_s:.1f} s)")


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM while the block runs, because it moves traffic; its steps have their own deadlines."""
    signals = Signals()
    signals.install()
    try:
        with signals.shielded():
            yield
    finally:
        signals.restore()
        if signals.received:
            say(f"{signals.received} was received and delayed until traffic was safe")


def waiting() -> Callable[[str, float], None]:
    """Return a function that prints each lock holder that the command waits for, once."""
    reported: set[str] = set()

    def report(holder: str, _elapsed: float) -> None:
        if holder not in reported:
            reported.add(holder)
            click.echo(f"waiting: {holder}")

    return report


def no_environment() -> str:
    """Return the message for a missing environment."""
    return "no embedded environment is up; start one with `python scripts/deploy.py up`"


def one_line(text: str) -> str:
    """Return a text with each line break and control character as an escape, so that it cannot look like another line."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def describe(settings: Settings, environment: Environment) -> dict[str, Any]:
    """Return the document of ``status --json`` for the caller of this environment. Raises CloudError or SwitchFailed."""
    asker = Asker(settings.access, environment.caller)
    return current.describe(environment.name, environment.live_url, environment.ports, environment.registry, asker)


def status(document: Mapping[str, Any], processes: Sequence[str]) -> str:
    """Return the output of ``status`` as text."""
    lines = [f"environment  {document['environment']}", f"live domain  {document['live_url']}"]
    lines.append(f"answers      {_answer(document['live_domain'])}")
    lines += [_colour(name, document[name]) for name in ("live", "idle")]
    lines.append(f"live since   {_since(document['live_since'])}")
    lines.append(f"rollback     {_rollback(document['rollback'])}")
    deployment, lock = document["deployment"], document["lock"]
    if deployment is None:
        lines.append("deployment   none")
    else:
        alive = {
            True: "its process lives",
            False: "its process is gone: run recover",
            None: f"its process on {deployment['host']} cannot be seen from here",
        }
        lines.append(
            f"deployment   {deployment['id']}: {deployment['image']} to {deployment['target']}, {deployment['phase']} "
            f"since {deployment['phase_since']}, by {deployment['actor']} ({alive[deployment['owner_alive']]})"
        )
        if deployment["phase"] == Phase.AWAITING_APPROVAL:
            named = in_environment(document["environment"])
            lines.append(f"approval     awaited: python scripts/deploy.py approve {deployment['id']}{named}")
    held = (
        "free"
        if lock is None
        else f"held by {lock['deployment_id']} ({lock['host']}, pid {lock['pid']}) until {lock['expires_at']}"
    )
    lines.append(f"lock         {held}")
    lines += [f"process      {line}" for line in processes]
    return "\n".join(map(one_line, lines))  # a release chooses its version


def _answer(answer: Mapping[str, Any]) -> str:
    if not answer["ok"]:
        return f"FAILING now: {answer['problem']}"
    by = f" by {answer['colour']}" if answer["colour"] else ""
    version = f": version {answer['version']}" if answer["version"] else ""
    return f"the health check is ok now{version}{by}"


def _since(since: Mapping[str, Any] | None) -> str:
    if since is None:
        return "unknown: no promotion or rollback of this tool made it live"
    return f"{since['at']}, {since['how']} {since['deployment_id']} by {since['by']}"


def _rollback(rollback: Mapping[str, Any]) -> str:
    if not rollback["possible"]:
        return f"not possible now: {rollback['reason']}"
    release = rollback["image"] or rollback["version"] or "the previous release"
    return f"would send traffic to {rollback['colour']}, {release}, and undo {rollback['undoes']}"


def _colour(name: str, colour: Mapping[str, Any]) -> str:
    image = colour["image"] or colour["digest"] or "nothing"
    version = f" {colour['version']}" if colour["version"] else ""  # a service may report none
    running = f"running{version} at {colour['url']}" if colour["url"] else "not running"
    return f"{name:<12} {colour['colour']}: {image}, {running}"
