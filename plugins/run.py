"""The wiring of a run: creates the coordinator from the options, and passes pytest's hooks to it."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import secrets
import warnings
from collections.abc import Generator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.junitxml import xml_key

from deployment.errors import JournalUnwritable, Refused, SettingsError
from deployment.evidence import junit, receipt
from deployment.files import problem_of
from deployment.model import Colour
from deployment.settings import Settings, load
from plugins import options as run_options
from plugins.integrity.findings import CollectionWatch
from plugins.integrity.fixture_guard import exchanged
from plugins.integrity.hook_guard import HookGuard, blamed, is_replaced
from plugins.integrity.outcomes import Seal
from plugins.integrity.resource_warnings import (
    Coroutines,
    LostFailures,
    WarningsOfPlugins,
    allow_recording,
    warn_only,
)
from plugins.modes.preconditions import accepted_settings
from plugins.options import Mode, RunOptions
from plugins.recorder import Recorder
from plugins.scheduling.garbage import Garbage
from plugins.scheduling.parallel import ParallelPhases, WorkerSide
from plugins.scheduling.serial import SerialPhases
from plugins.stages import ADVISORY, MARKERS, check_of, gate_of, is_ordinary, today_key
from plugins.terminal.output import Output, WorkerOutput
from plugins.terminal.progress import Progress
from plugins.terminal.redacting import redact, redact_collection, redact_name, redact_warning
from plugins.terminal.tracebacks import shorten, show_instead, text_of
from verification.declarative.exemptions import today
from verification.redaction.printable import printable
from verification.redaction.redactor import LearningRedactor

if TYPE_CHECKING:
    from plugins.modes.base import RunMode
    from plugins.modes.coordinator import Coordinator

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
CUT_SHORT = "the run was stopped while this check ran"
coordinator_key = pytest.StashKey["Coordinator"]()
recorder_key = pytest.StashKey[Recorder]()
redactor_key = pytest.StashKey[LearningRedactor]()
guard_key = pytest.StashKey[HookGuard]()
seal_key = pytest.StashKey[Seal]()
options_key = pytest.StashKey[RunOptions]()
coroutines_key = pytest.StashKey[Coroutines]()


def suites_of(config: pytest.Config) -> Path:
    """Return the folder of the checks: ``suites/`` beside pytest.ini."""
    return run_options.project_of(config).suites


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Raise UsageError if ``testpaths`` names nothing: pytest warns, and pytest.ini turns that into an error with a traceback."""
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    if config is None:
        return
    paths, root = config.getini("testpaths"), run_options.project_of(config).root
    if not paths or any(glob.glob(path, root_dir=root, recursive=True) for path in paths):
        return
    given = parser.parse_known_args(list(config.invocation_params.args))  # this framework's options are known by now
    if not given.file_or_dir and config.invocation_params.dir == root:
        hint = "Omit -o testpaths, or let pytest.ini say: testpaths = suites"
        raise pytest.UsageError(str(Refused(f"testpaths names no file and no folder: {' '.join(paths)}", hint=hint)))


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Determine the kind of the run, and register the plugins that it needs."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config.stash[recorder_key] = Recorder()
    config.stash[today_key] = _today(config)
    redactor, suites = LearningRedactor(), suites_of(config)
    if hasattr(config, "workerinput"):
        if "deployment_state" in config.workerinput:
            run_options.register(config, WarningsOfPlugins(config), "deployment-warnings")
            _judge_warnings(config, suites)
            _guard(config)
            config.stash[seal_key] = Seal(bytes.fromhex(config.workerinput["deployment_seal"]))
            run_options.register(config, Garbage(), "deployment-garbage")
            run_options.register(config, WorkerSide(suites, _watch(config, suites)), "deployment-worker")
            run_options.register(config, LoadOption(config, suites), "deployment-load-option")
            config.stash[redactor_key] = redactor
            redactor.learn(*run_options.secrets_of_headers(config.option.header))
            run_options.register(config, WorkerOutput(config, redactor), "deployment-output")
        return
    options = config.stash[options_key] = run_options.read(config, suites)
    redactor.learn(*run_options.secrets_of_headers(options.headers))  # before the journal records the command line
    if options.mode is Mode.ORDINARY:
        return
    _require_a_terminal(config)
    run_options.register(config, WarningsOfPlugins(config), "deployment-warnings")
    if options.mode is Mode.PLAN:
        from plugins.modes.plan import PlanMode

        _require_a_folder(options.reports)
        plan = PlanMode(config, options, suites, _watch(config, suites))
        _without_workers(config)
        run_options.register(config, plan, "deployment-plan")
        run_options.register(config, Output(config, redactor), "deployment-output")
        return
    _judge_warnings(config, suites)
    _guard(config)
    run_options.register(config, Garbage(), "deployment-garbage")
    config.stash[redactor_key] = redactor
    _coordinate(config, options, suites, redactor)


def _require_a_terminal(config: pytest.Config) -> None:
    """Raise UsageError without pytest's own output: progress, verdict and plan are written through it."""
    for name in ("terminal", "terminalreporter"):
        if config.pluginmanager.is_blocked(name):
            raise pytest.UsageError(f"a run needs pytest's terminal output; remove -p no:{name} (-q makes it short)")


def _require_a_folder(reports: Path) -> None:
    """Raise UsageError if a run could not write its report there; the plan itself writes nothing."""
    there = next(folder for folder in (reports.absolute(), *reports.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise pytest.UsageError(f"reports cannot be written to {reports}: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise pytest.UsageError(f"reports cannot be written to {reports}: {there} may not be written")


def _today(config: pytest.Config) -> date:
    """Return the day (UTC) on which the run began; workers get it from the coordinator, so that all of them agree."""
    given = getattr(config, "workerinput", {}).get("deployment_today")
    return date.fromisoformat(given) if given else today()


def _judge_warnings(config: pytest.Config, suites: Path) -> None:
    warn_only(config)
    run_options.register(config, LostFailures(suites), "deployment-lost-failures")


def _guard(config: pytest.Config) -> None:
    guard = config.stash[guard_key] = HookGuard(config)
    run_options.register(config, guard, "deployment-hook-guard")


def _watch(config: pytest.Config, suites: Path) -> CollectionWatch:
    """Return the watch over the collection, registered before the plugins that ask it."""
    watch = CollectionWatch(suites, load=config.option.target is not None or config.option.load)
    run_options.register(config, watch, "deployment-collection")
    return watch


def _coordinate(config: pytest.Config, options: RunOptions, suites: Path, redactor: LearningRedactor) -> None:
    # Imported here because only the coordinator needs boto3 and the embedded environment; it saves each worker a second.
    from plugins.modes.coordinator import Coordinator

    progress = Progress(config)
    refusal: Refused | None = None
    settings = None
    try:
        settings = accepted_settings(config, options, suites)
    except Refused as error:
        refusal = error
        with contextlib.suppress(SettingsError):  # so that the report can name the gates
            settings = load(run_options.project_of(config).settings_file, options.environment)
        with contextlib.suppress(SettingsError):
            settings = settings or load(run_options.project_of(config).settings_file)
    colour = None
    if refusal is None and settings is not None and options.target == run_options.AUTO:
        from plugins.modes.choice import colour_of_auto

        colour = colour_of_auto(settings)
    run_id = _run_id(options, colour)
    try:
        receipt.leave(options.reports / run_id, os.environ)
    except OSError as error:
        raise pytest.UsageError(f"{receipt.RECEIPT} names a file that cannot be written: {error}") from None
    try:
        coordinator = Coordinator(run_id, options, settings, suites, redactor, progress)
    except (OSError, JournalUnwritable) as error:
        raise pytest.UsageError(f"reports cannot be written to {options.reports}: {problem_of(error)}") from None
    config.stash[coordinator_key] = coordinator
    config.stash[seal_key] = coordinator.seal
    config.stash[recorder_key].harm = coordinator.harm
    # The coordinator completes this file; ``Hooks`` then copies it to the place that the caller asked for.
    wanted = getattr(config.option, "xmlpath", None)  # without the plugin junitxml there is no such option
    config.option.xmlpath = str(coordinator.folder / junit.JUNIT_FILE)
    # Otherwise pytest would delete the temporary folders of this user's other runs before the promotion is final.
    config.option.basetemp = config.option.basetemp or str(coordinator.scratch)
    run_options.register(config, LoadOption(config, suites), "deployment-load-option")
    hooks = Hooks(config, coordinator, progress, _absolute(wanted))
    run_options.register(config, hooks, "deployment-run")
    run_options.register(config, Output(config, redactor, progress.screen), "deployment-output")
    if refusal is not None:
        coordinator.refuse(refusal)
        _without_workers(config)
        return
    assert settings is not None, "a run whose settings cannot be read is refused"
    coordinator.use_mode(_mode(coordinator, settings, options.mode))
    parallel = getattr(config.option, "dist", "no") != "no" and bool(config.option.tx)  # xdist may be switched off
    phases = ParallelPhases(coordinator) if parallel else SerialPhases(coordinator, _watch(config, suites))
    run_options.register(config, phases, "deployment-phases")


def _absolute(xmlpath: str | None) -> Path | None:
    """Return the path that ``--junitxml`` names, as pytest reads it, or None without the option."""
    return Path(os.path.expandvars(xmlpath)).expanduser().absolute() if xmlpath else None


def _mode(coordinator: Coordinator, settings: Settings, mode: Mode) -> RunMode:
    """Return the actions of a run. Each kind imports much that the other one does not need."""
    if mode is Mode.DEPLOY:
        from plugins.modes.deploy import DeployMode

        return DeployMode(coordinator, settings)
    from plugins.modes.verify import VerifyMode

    return VerifyMode(coordinator, settings)


def _without_workers(config: pytest.Config) -> None:
    config.option.dist = "no"
    config.option.tx = []
    config.option.numprocesses = None


def _run_id(options: RunOptions, colour: Colour | None) -> str:
    """Return a unique id that sorts by time and names the kind of the run; ``colour`` is what ``auto`` means."""
    kind = (
        colour or options.target
        if options.target in run_options.TARGETS
        else "verify"
        if options.target is None
        else "refused"
    )
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{kind}-{secrets.token_hex(3)}"


class LoadOption:
    """Deselects the load gate without ``--load`` or ``--target``, so that plain ``pytest`` puts no load on production."""

    def __init__(self, config: pytest.Config, suites: Path) -> None:
        self._deselect = config.option.target is None and not config.option.load
        self._suites = suites

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect the checks of the load gate."""
        load = [item for item in items if gate_of(item, self._suites) == "load"]
        if self._deselect and load:
            items[:] = [item for item in items if item not in load]
            config.hook.pytest_deselected(items=load)


class Hooks:
    """pytest's hooks in the coordinating process."""

    def __init__(
        self, config: pytest.Config, coordinator: Coordinator, progress: Progress, junit_copy: Path | None
    ) -> None:
        """``junit_copy``: the further place for the finished junit.xml."""
        self._config = config
        self._junit_copy = junit_copy
        self._run = coordinator
        self._progress = progress
        self._started = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Install the run's signal handlers, and print the headline."""
        self._run.signals.install()
        self._progress.headline(self._run)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """Collect nothing in a refused run."""
        self._started = True
        if self._run.refusal is None:
            return None
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> bool | None:
        """Run nothing in a refused run."""
        return True if self._run.refusal is not None else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Show the live view from the first check on, if no step has shown it before."""
        self._progress.start_view()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Redact each report before other plugins write it, then count it."""
        if self._run.has_cut_short(report):
            report.outcome = "skipped"
            report.longrepr = (report.location[0], report.location[1] or 0, CUT_SHORT)
        if report.nodeid in self._run.tally.advisory:
            report.user_properties.append(("severity", ADVISORY))
        redact(report, self._run.redactor)
        self._run.record(report)
        self._progress.checked(report.nodeid, report.when)
        redact_name(report, self._run.redactor)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Let pytest print no letter of a check if the gates' progress is shown; its summary still has the words."""
        found = yield
        return (found[0], "", found[2]) if found and self._progress.counts_checks else found

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        self._progress.stop_view()

    def pytest_leave_pdb(self) -> None:
        """Show the live view again."""
        self._progress.resume_view()

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Redact the warning before pytest's summary shows it."""
        redact_warning(warning_message, self._run.redactor)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Count files that were skipped, and redact collection errors."""
        redact_collection(report, self._run.redactor)
        if report.skipped:
            self._run.skip_file()

    @pytest.hookimpl(tryfirst=True)
    def pytest_internalerror(self, excrepr: Any, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record a defect of pytest, of a plugin, or of this framework; refuse the run if a plugin fails before it began."""
        problem = blamed(self._config, excinfo.value) if not self._run.checks else None
        show_instead(excrepr, self._run.redactor.clean(text_of(excrepr, problem, self._config)))
        if problem is None:
            self._run.internal_fault()
            return
        refusal = Refused(problem.what, hint=problem.hint)
        self._run.refuse(refusal)
        if not self._started:  # pytest would exit with 3, and cannot show a verdict yet
            raise pytest.UsageError(self._run.redactor.clean(printable(str(refusal))))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Make traffic safe before the other plugins' hooks, and the result final after them, so that their errors count."""
        late: BaseException | None = None
        # A signal must not interrupt another plugin's report; ``finalize`` handles it instead.
        self._run.signals.shield()
        try:
            cut_short = bool(session.shouldfail or session.shouldstop)
            session.exitstatus = self._run.finish(int(exitstatus), cut_short)
            self._mark_unfinished()
            self._progress.stop_view()
            return (yield)
        except BaseException as error:
            # Not re-raised: pytest does not expect an error here and would exit with 1, which means rejected.
            late = error
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:  # no defect, so no traceback
                self._run.say(f"a plugin cannot write its report: {problem_of(error)}")
            elif not isinstance(error, KeyboardInterrupt):
                self._config.notify_exception(pytest.ExceptionInfo.from_exception(error), self._config.option)
        finally:
            session.exitstatus = self._run.finalize(late)
            self._copy_junit()
            self._progress.verdict(self._run)

    def _mark_unfinished(self) -> None:
        """Show the checks whose teardown was cut short as skipped in junit.xml, in which a call that passed is a pass."""
        xml = self._config.stash.get(xml_key, None)
        for one in xml.node_reporters.values() if xml is not None else ():
            if one.attrs and not one.nodes:
                one._add_simple("skipped", CUT_SHORT)

    def _copy_junit(self) -> None:
        if self._junit_copy is None:
            return
        problem = junit.copy_file(self._run.folder, self._junit_copy)
        if problem is not None:
            self._run.say(
                f"--junitxml={self._junit_copy} was not written ({problem}); read {junit.JUNIT_FILE} of the report"
            )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_unconfigure(self) -> Generator[None, None, None]:
        """Restore the signal handlers last, so that a late signal changes nothing, and undo another plugin's exit code."""
        session: pytest.Session | None = self._config.pluginmanager.get_plugin("session")
        if session is not None and not self._run.finalized:  # a plugin ended the run before it had started
            self._run.finish(int(session.exitstatus))
            self._run.finalize(None)
            self._copy_junit()
        try:
            return (yield)
        finally:
            self._run.signals.restore()
            if session is not None:
                session.exitstatus = self._run.exit_code()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Refuse a run if an installed plugin fails in this hook: pytest would exit with 1, which means rejected.

    A run that is refused before it has a report leaves no older file of ``--junitxml``.
    """
    try:
        return (yield)
    except Exception as error:
        problem = None if isinstance(error, pytest.UsageError) else blamed(config, error)
        options = run_options.read(config, suites_of(config))
        if options.mode is Mode.ORDINARY:
            raise
        copy = _absolute(getattr(config.option, "xmlpath", None))
        if copy is not None and coordinator_key not in config.stash:
            junit.copy_file(options.reports / "no run", copy)
        if problem is None:
            raise
        raise pytest.UsageError(printable(str(Refused(problem.what, hint=problem.hint)))) from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Seal a check's report, attach its evidence, and redact the secrets that this process knows."""
    shorten(call, full=item.config.option.fulltrace)
    report = yield
    recorder = item.config.stash.get(recorder_key, None)
    if recorder is not None:
        recorder.slow.hide_cut(report)
    guard = item.config.stash.get(guard_key, None)
    if guard is not None:
        guard.look()
    seal = item.config.stash.get(seal_key, None)
    if seal is not None and not is_replaced(item):
        seal.put(report, guard.problem if guard is not None else None)
    if recorder is not None:
        recorder.hand_over(report, getattr(item, "fixturenames", ()))
    if redactor_key in item.config.stash:
        redact(report, item.config.stash[redactor_key])
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Begin a check: whether its requests count for the latency budgets depends on its stage. Skip it if a skip is in force."""
    recorder = item.config.stash.get(recorder_key, None)
    if recorder is not None and redactor_key in item.config.stash:
        allow_recording()
        check = check_of(item, suites_of(item.config))
        if check.skipped and check.exemption is not None:
            # pytest itself skips the item after all wrappers of this hook have begun.
            item.add_marker(pytest.mark.skip(reason=f"until {check.exemption.until}: {check.exemption.reason}"))
        recorder.slow.begin(is_ordinary(check))
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let a check be cut short while it runs, if the release is proven to be too slow; fail it if it loses a coroutine."""
    recorder = item.config.stash.get(recorder_key, None)
    if recorder is None:
        return (yield)
    if redactor_key in item.config.stash and (what := exchanged(item)) is not None:
        pytest.fail(f"{what} was exchanged or left out while the check was set up, so it proves nothing", pytrace=False)
    coroutines = item.config.stash.setdefault(coroutines_key, Coroutines(suites_of(item.config)))
    with recorder.slow.calling(), coroutines.watched(getattr(item, "function", None)):
        return (yield)
