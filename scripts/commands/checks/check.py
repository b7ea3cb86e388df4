"""``check``: runs one check and prints the request, the expectation and the answer. Checks in YAML run here, without pytest."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from xml.etree import ElementTree

import click

from deployment.errors import Refused
from deployment.project import Project
from deployment.settings import Settings
from scripts.commands.checks import places
from verification.declarative.placeholder_rules import nearest
from verification.journeys.accounts import ACCOUNTS_VARIABLE

if TYPE_CHECKING:
    import httpx

    from verification.contract.openapi import Contract
    from verification.declarative.checks import Case, DeclaredCheck
    from verification.http.client import Received
    from verification.journeys.accounts import SmokeUser
    from verification.journeys.model import Service
    from verification.journeys.placeholders import Values

PASSED, FAILED, REFUSED = 0, 1, 4
INTERRUPTED, NOTHING_COLLECTED = 2, 5
SUFFIXES = (".yaml", ".yml")
TIMEOUT_S = 10.0
SKIP_BEGINS = "until "
"""How the reason of a skip begins that the check's file declares, see docs/add-a-check.md."""
NOT_ASKED = "not asked: "
"""How the reason of a check begins that this run could not ask, such as one that needs an account."""
PYTEST_ERROR = "ERROR: "
"""How pytest's line begins if it does not accept its command line."""
HOW_TO_SKIP = 'To skip it until a day: @pytest.mark.skip_until("YYYY-MM-DD", reason="…").'
Learn = Callable[..., None]


@dataclass(frozen=True)
class Wanted:
    """What the command line names: ``suites/GATE/FILE::NAME``, and where to ask it."""

    check: str
    against: str = places.LIVE
    accounts: Path | None = None


def run(settings: Settings, wanted: Wanted, learn: Learn) -> int:
    """Run the check and return 0 (passed) or 1 (failed). Raises Refused. ``learn`` redacts a secret from now on."""
    places.check_against(wanted.against)
    path, _, name = wanted.check.partition("::")
    file = _file(settings.project, path)
    if file.suffix not in SUFFIXES or file == settings.service_file.resolve():
        return _by_pytest(settings, wanted, file, name, learn)
    return _declared(settings, wanted, file, name, learn)


def _file(project: Project, name: str) -> Path:
    """Return the file of a gate that the user means, by the working directory or the project's folder."""
    suites = project.suites.resolve()
    for base in (Path(), project.root):
        file = (base / name).resolve()
        if file.is_file():
            if not file.is_relative_to(suites):
                raise Refused(f"{name} is not in suites/, so no run would collect it", hint="Move it to suites/GATE/.")
            return file
        if file.is_dir():
            raise Refused(f"{name} is a folder", hint=f"Name one file in it; `pytest {name}` runs all of them.")
    known = [one.relative_to(project.root.resolve()).as_posix() for one in sorted(suites.glob("*/*"))]
    raise Refused(
        f"there is no file {name}{nearest(name, [one for one in known if '__' not in one])}",
        hint="Name a file and a check in it: suites/GATE/FILE.yaml::NAME; `deploy.py checks` lists all.",
    )


# -- checks in YAML --------------------------------------------------------------------------------------------------------


def _declared(settings: Settings, wanted: Wanted, file: Path, name: str, learn: Learn) -> int:
    from infrastructure.description import contract_of, service_of
    from verification.declarative import demands
    from verification.declarative.checks import load
    from verification.declarative.source import InvalidChecks
    from verification.http.answer_limits import AnswerLimits
    from verification.http.client import open_client

    shown = file.relative_to(settings.project.root.resolve()).as_posix()
    service, contract = service_of(settings), contract_of(settings)
    named = settings.named_secrets if wanted.against in (places.LIVE, places.CANDIDATE) else {}
    try:
        checks = load(file, shown, () if contract is None else contract.schemas)
        chosen = list(_chosen(checks, name, shown))
        used = [check for check, _ in chosen]
        mistakes = [
            *demands.unknown_sessions(used, service.sessions),
            *demands.unusable_variables(used, os.environ, learn, named),
            *_unusable(service, learn, named),
        ]
        if mistakes:
            raise InvalidChecks("\n".join(dict.fromkeys(mistakes)))
    except InvalidChecks as error:
        raise Refused(str(error), hint="docs/add-a-check.md describes the format.") from None
    _refuse_impossible(used, wanted, service)
    limits = settings.limits
    open_ = partial(
        open_client,
        timeout_s=float(settings.table(Path(shown).parts[1]).get("timeout", TIMEOUT_S)),
        answers=AnswerLimits.of(limits.largest_answer, limits.request_deadline),
    )
    asked = {*service.variables, *(name for check in used for name in check.variables)}
    found = places.find(settings, wanted.against, wanted.accounts, learn, asked)
    for check in used:
        for role in _roles(check, wanted.against):
            found.url_of(role)  # refused before anything is asked
    runner = _Runner(service, contract, wanted.against, found, learn)
    try:
        results = [runner.run(check, case, open_) for check, case in chosen]
    finally:
        runner.close()
    return PASSED if all(results) else FAILED


def _unusable(service: Service, learn: Learn, named: Mapping[str, str]) -> Iterator[str]:
    """Yield the variables and secrets of the description that have no value."""
    from verification.declarative.demands import unusable

    for name in service.variables:
        if (problem := unusable(name, os.environ, learn, named)) is not None:
            yield f"suites/service.yaml: ${{{name}}} {problem}"


def _chosen(checks: Sequence[DeclaredCheck], name: str, shown: str) -> Iterator[tuple[DeclaredCheck, Case]]:
    """Yield the named check and its cases, all checks without a name. Raises Refused for an unknown name."""
    every = [(_id(check, case), check, case) for check in checks for case in check.cases]
    found = [(check, case) for id_, check, case in every if not name or name in (id_, check.name)]
    if not found:
        known = list(dict.fromkeys([*(check.name for check in checks), *(id_ for id_, _, _ in every)]))
        hint = nearest(name, known)
        raise Refused(
            f"{shown} has no check {name!r}{hint}",
            hint=f'Type "{shown}::NAME" with one of: {", ".join(known[:10])}{" …" if len(known) > 10 else ""}',
        )
    yield from found


def _roles(check: DeclaredCheck, against: str) -> tuple[str, ...]:
    """Return what the check asks: one address, or both colours in the order in which they are compared."""
    return (places.CANDIDATE, places.LIVE) if check.on == "both" else (against,)


def _id(check: DeclaredCheck, case: Case) -> str:
    return f"{check.name}[{case.id}]" if check.has_parameters else check.name


def _refuse_impossible(checks: Sequence[DeclaredCheck], wanted: Wanted, service: Service) -> None:
    roles = (places.LIVE, places.CANDIDATE)
    both = next((check for check in checks if check.on == "both"), None)
    if both is not None and wanted.against not in roles:
        raise Refused(
            f"{both.place}: check {both.name!r} compares both colours, and --against names one address",
            hint="Use --against=candidate in an environment where both colours run.",
        )
    user = next((check for check in checks if check.has_session), None)
    if user is None:
        return
    session = service.signed_in if user.session is None else service.sessions[user.session]
    given = wanted.accounts is not None or bool(os.environ.get(ACCOUNTS_VARIABLE))
    if session is not None and session.needs_account and wanted.against not in roles and not given:
        raise Refused(
            f"{user.place}: check {user.name!r} needs an account of the service at {wanted.against}",
            hint="Name a file: --accounts FILE, a JSON list of accounts, each an object with the keys email and password. "
            f"The variable {ACCOUNTS_VARIABLE} may hold the list instead.",
        )


class _Runner:
    """Plays checks against the places of one environment; signs in once for each address and session."""

    def __init__(
        self, service: Service, contract: Contract | None, against: str, found: places.Places, learn: Learn
    ) -> None:
        self._service = service
        self._contract = contract
        self._against = against
        self._places = found
        self._learn = learn
        self._clients: dict[str, httpx.Client] = {}
        self._sessions: dict[tuple[str, str, SmokeUser | None], Mapping[str, str]] = {}
        self._answers: list[httpx.Response] = []  # of the case that is played
        self._warned: list[str] = []

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()

    def run(self, check: DeclaredCheck, case: Case, open_: Callable[[str], httpx.Client]) -> bool:
        """Play one case, print its result, and return whether it passed; ``open_`` returns a client for an address."""
        import httpx

        from verification.declarative.judge import CheckFailed, differences
        from verification.journeys.issuers import TokenNotIssued
        from verification.journeys.sessions import NotSignedIn

        roles = _roles(check, self._against)
        answers: list[list[httpx.Response]] = []
        self._answers, self._warned = [], []
        problem = None
        user = self._places.users[0] if check.has_session and self._places.users else None
        values = _values(user)  # of both colours, which get the same request
        try:
            for role in roles:
                answers.append(self._play(check, case, (user, values), self._client(role, open_)))
            if len(answers) > 1 and (found := list(differences(check, *answers))):
                raise CheckFailed("\n".join(found))
        except (CheckFailed, NotSignedIn, TokenNotIssued) as failure:
            problem = str(failure)
        except httpx.TransportError as failure:
            problem = f"no answer to the sign-in ({type(failure).__name__}: {failure})"
        name = f"{check.file}::{_id(check, case)}"
        if check.skip is not None:
            click.echo(f"note: runs skip {name} until {check.skip.until}: {check.skip.reason}")
        if check.severity == "advisory":
            click.echo(_advisory(name))
        for text in dict.fromkeys(self._warned):
            click.echo(f"warning: {name}: {text}")
        if problem is not None:
            click.echo(f"failed: {name} ({' and '.join(roles)})\n{problem}")
            return False
        took = sum(one.elapsed.total_seconds() for one in self._answers) * 1000
        requests = f"{len(self._answers)} request{'' if len(self._answers) == 1 else 's'}"
        click.echo(f"passed: {name} ({' and '.join(roles)}, {requests}, {took:.0f} ms)")
        return True

    def _client(self, role: str, open_: Callable[[str], httpx.Client]) -> httpx.Client:
        url = self._places.url_of(role)
        if url not in self._clients:
            self._clients[url] = open_(url)
        return self._clients[url]

    def _play(
        self, check: DeclaredCheck, case: Case, by: tuple[SmokeUser | None, Values], client: httpx.Client
    ) -> list[httpx.Response]:
        """Play one case and return the answers; ``by`` is the user, and the values of placeholders."""
        from verification.declarative.demands import clean_up
        from verification.declarative.judge import Asker, CheckFailed
        from verification.http.cookies import own_cookies
        from verification.journeys.model import Expectation

        user, values = by
        headers: Mapping[str, str] = {}
        second: Mapping[str, str] = {}
        if check.has_session:
            headers = self._session(check.session, client, user)
        if check.needs_second:
            if len(self._places.users) < 2:
                raise CheckFailed(
                    f"{check.place}: check {check.name!r} needs 2 accounts, there is {len(self._places.users)}"
                )
            second = self._session(check.session, client, self._places.users[1])
        answers: list[httpx.Response] = []

        def answered(step: str, response: httpx.Response, expect: Expectation) -> None:
            del step, expect
            answers.append(response)
            self._answers.append(response)

        contract = None if self._contract is None else self._contract.at(str(client.base_url))
        asker = Asker(client, contract, headers, answered, second=second, warn=self._warned.append)
        with own_cookies(client):
            try:
                return asker.play(check, case, values)
            finally:
                for response in answers:
                    if contract is not None and not case.undo:
                        clean_up(client, contract, response, headers, second)

    def _session(self, name: str | None, client: httpx.Client, user: SmokeUser | None) -> Mapping[str, str]:
        """Return the headers of a session. Raises NotSignedIn, ``httpx.TransportError``."""
        from verification.http.client import Received
        from verification.http.cookies import ask_alone
        from verification.journeys.sessions import credentials, sign_in_request, without_request

        session = self._service.signed_in if name is None else self._service.sessions[name]
        if session is None:
            raise LookupError("refused before, by demands.unknown_sessions")
        key = (str(client.base_url), session.name, user)
        if key not in self._sessions:
            values = _values(user)
            request = sign_in_request(session, values)
            if request is None:
                found = without_request(session, values, self._learn)
            else:
                made = ask_alone(client, request.method, request.path, request.headers, request.body)
                answer: Received = Received(made)
                found = credentials(session, request, answer)
            for secret in found.secrets:
                self._learn(secret)
            self._sessions[key] = found.headers
        return self._sessions[key]


def _values(user: SmokeUser | None) -> Values:
    import secrets

    from verification.journeys.placeholders import Values
    from verification.journeys.sessions import account_of

    return Values(None if user is None else account_of(user), f"deployment verification {secrets.token_hex(6)}")


# -- every other check -----------------------------------------------------------------------------------------------------


def _by_pytest(settings: Settings, wanted: Wanted, file: Path, name: str, learn: Learn) -> int:
    """Run a check in Python, or one from the description, with pytest, and return its exit code."""
    if wanted.accounts is not None and wanted.against == places.LIVE:
        raise Refused(
            "--accounts needs --against=URL for this check; at live it signs in with the environment's accounts",
            hint="Only a check in YAML can be asked at live with other accounts.",
        )
    shown = file.relative_to(settings.project.root.resolve()).as_posix()
    function = re.split(r"\[", name.rpartition("::")[2])[0]
    if file.suffix == ".py" and name:
        known = re.findall(r"^\s*(?:async )?def (test_\w+)", file.read_text(encoding="utf-8", errors="replace"), re.M)
        if function not in known:
            listed = f"The file has: {', '.join(known) or 'no check'}."
            raise Refused(f"{shown} has no check {name!r}{nearest(function, known)}", hint=listed)
    node = f"{shown}::{name}" if name else shown
    arguments = ["-q", node, "--one-check", f"--environment={settings.environment}"]
    if wanted.against != places.LIVE:
        url = places.find(settings, wanted.against, None, learn).url_of(wanted.against)
        arguments.append(f"--base-url={url}")
    if wanted.accounts is not None:
        arguments.append(f"--accounts={wanted.accounts.absolute()}")
    with tempfile.TemporaryDirectory() as folder:  # nobody looks for the report of one check
        reports, output = Path(folder, "reports"), Path(folder, "output")
        code = _pytest(settings.project.root, [*arguments, f"--reports={reports}"], output)
        shown_by_pytest = output.read_text(encoding="utf-8", errors="replace")
        results = list(_results(reports, shown))
        exempt, only_exempt = _exempt_checks(reports)
        warned = list(_warnings(reports))
        refusal = _refusal(reports, shown, shown_by_pytest) if code in (REFUSED, NOTHING_COLLECTED) else None
    if code == NOTHING_COLLECTED:
        _refuse_forgotten(settings.project, shown)
    if refusal is not None:
        raise refusal
    for note in [*exempt, *warned]:
        click.echo(note)
    for result in results:
        click.echo(result)
    if only_exempt and code == FAILED:  # the run has failed because nothing in it counts for a gate
        return FAILED if any(result.startswith("failed: ") for result in results) else PASSED
    if not results or code not in (PASSED, FAILED):
        click.echo(shown_by_pytest, err=True)
    return REFUSED if code == NOTHING_COLLECTED else code


def _refuse_forgotten(project: Project, shown: str) -> None:
    """Raise Refused if the file has no check, but a function or a class that was probably meant as one."""
    from plugins.integrity.forgotten import forgotten

    for one in forgotten(project.suites.resolve(), [f"{shown}::"], whole=False):
        raise Refused(str(one), hint="Rename it; docs/add-a-check.md describes which names are checks.")


def _pytest(root: Path, arguments: Sequence[str], output: Path) -> int:
    """Run pytest in a process of its own and return its exit code; a file receives all output.

    The process is a fork, which saves it a third of a second: this one has imported much of what pytest needs.
    """
    import multiprocessing

    process = multiprocessing.get_context("fork").Process(target=_run_pytest, args=(root, arguments, output))
    try:
        with warnings.catch_warnings():
            # From Python 3.12 on: the only other thread here waits for output.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        process.join()
        code = process.exitcode
    finally:
        if process.is_alive():
            process.terminate()  # the run ends in order
            process.join()
    assert code is not None, "the process has ended"
    return code if code >= 0 else INTERRUPTED


def _run_pytest(root: Path, arguments: Sequence[str], output: Path) -> NoReturn:
    """Run pytest as ``python -m pytest`` does in the project's folder, and exit with its code."""
    file = output.open("w", encoding="utf-8", errors="replace")
    for stream in (1, 2):
        os.dup2(file.fileno(), stream)
    sys.stdout = sys.stderr = file
    os.chdir(root)
    sys.path.insert(0, str(root))
    # pytest imports its plugins itself, and a project may have a package of this name.
    for name in [one for one in sys.modules if one.partition(".")[0] in ("plugins", "scripts")]:
        del sys.modules[name]
    import pytest

    code = int(pytest.main(list(arguments)))
    file.flush()
    raise SystemExit(code)


def _exempt_checks(reports: Path) -> tuple[list[str], bool]:
    """Return a note for each advisory check of the only run in ``reports``, and whether it had no checks but exempt ones."""
    for file in reports.glob("[!l]*/verification.json"):
        report = json.loads(file.read_text(encoding="utf-8"))
        exempt = report.get("exempt", [])
        notes = [_advisory(one["check"]) for one in exempt if one["severity"] == "advisory"]
        return notes, bool(exempt) and not any(gate["checks"] for gate in report["gates"])
    return [], False


def _warnings(reports: Path) -> Iterator[str]:
    """Yield the requests that the only run in ``reports`` did not compare with the contract."""
    from verification.contract.uncompared import BEGINS

    for file in reports.glob("[!l]*/audit.jsonl"):
        records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        found = [one for one in records if one["kind"] == "warning" and one["text"].startswith(BEGINS)]
        yield from (f"warning: {one['gate']}: {one['text']}" for one in found)


def _advisory(name: str) -> str:
    return f"note: {name} is advisory: in a run it fails no gate"


def _refusal(reports: Path, shown: str, output: str) -> Refused | None:
    """Return why the only run in ``reports`` was refused, with pytest's own words in ``output``; None if it wrote no report."""
    for file in reports.glob("[!l]*/data.json"):
        for problem in _errors(file.with_name("junit.xml")):
            lines = problem.splitlines()
            place = [line for line in lines if line.startswith(f"{shown}:")][-1:]
            said = [line[1:].strip("\n") for line in lines if line.startswith("E ")]
            text = "\n".join([*place, *(textwrap.dedent("\n".join(said)).splitlines() or lines)])
            return Refused(f"{shown} cannot be collected\n{text}", hint="Correct the file, then run the check again.")
        for line in output.splitlines():
            if line.startswith(PYTEST_ERROR):
                return Refused(line.removeprefix(PYTEST_ERROR), hint="`deploy.py checks` lists the ids of all checks.")
        data = json.loads(file.read_text(encoding="utf-8"))
        return Refused(str(data["report"]["reason"]).partition(": ")[2], hint=" ".join(data["remedies"]) or None)
    return None


def _errors(junit: Path) -> Iterator[str]:
    """Yield pytest's message about each file that it could not collect."""
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - a file that this framework has just written
        if not case.get("classname"):
            yield from (one.text or "" for one in case if one.tag == "error")


def _results(reports: Path, shown: str) -> Iterator[str]:
    """Yield the result of each check of the only run in ``reports``, as its JUnit file has it."""
    for file in reports.glob("[!l]*/junit.xml"):
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 - a file that this framework has just written
            if case.get("classname") == "deployment":  # the verdict of the run
                continue
            name = f"{shown}::{case.get('name')}"
            problem = next((one for one in case if one.tag in ("failure", "error", "skipped")), None)
            if problem is not None and problem.tag == "skipped" and str(problem.get("message")).startswith(SKIP_BEGINS):
                yield f"skipped: {name}: {problem.get('message')}"
            elif problem is not None and str(problem.get("message")).startswith(NOT_ASKED):
                yield f"failed: {name}\n{problem.get('message')}"
            elif problem is not None and problem.get("type") == "pytest.skip":
                yield f"failed: {name}\nit was skipped, which proves nothing: {problem.get('message')}\n  {HOW_TO_SKIP}"
            elif problem is None:
                yield f"passed: {name} ({float(case.get('time', 0)) * 1000:.0f} ms)"
            else:
                yield f"failed: {name}\n{(problem.text or problem.get('message') or '').strip()}"
