"""The options of a run, and the pytest options that a deployment refuses."""

from __future__ import annotations

import argparse
import configparser
import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest

from deployment.errors import Refused
from deployment.model import Colour
from deployment.project import CONFIGURATION, Project
from deployment.settings import address_problem
from verification.http.route import DIRECT, Route
from verification.journeys.accounts import ACCOUNTS_VARIABLE, SmokeUser, parse_smoke_users, read_accounts

AUTO = "auto"
"""The variable that holds the accounts for a verification of an address, unless ``--accounts`` names a file."""
MOST_LOAD_WORKERS = 64
REQUIRED_PLUGINS = ("plugins.run", "plugins.fixtures", "plugins.reports")
OWN_PLUGINS = (
    "plugins.streams",
    "plugins.declarative",
    "plugins.declarative.collector",
    "plugins.described.collector",
    "plugins.described.fixtures",
    "deployment-collection",
    "deployment-details",
    "deployment-garbage",
    "deployment-hook-guard",
    "deployment-load-option",
    "deployment-lost-failures",
    "deployment-output",
    "deployment-phases",
    "deployment-plan",
    "deployment-run",
    "deployment-warnings",
    "deployment-worker",
)
"""The other plugins of the framework: its modules, and the objects that a run registers. ``-p no:NAME`` must disable none."""
TARGETS = (*Colour, AUTO)
RENAMED = {"--on-sick-live": "--allow-unhealthy-live"}
"""The options that no longer exist, with the names that replace them."""
# With these options pytest prints something and runs no check, so that no report is written.
_SHOWS_FIXTURES = ("showfixtures", "show_fixtures_per_test")
INFORMATION_OPTIONS = ("collectonly", "help", "version", "markers", "cacheshow", *_SHOWS_FIXTURES)


STRICTNESS = frozenset(
    {"strict", "strict_config", "strict_markers", "strict_parametrization_ids", "strict_xfail", "xfail_strict"}
)
"""The settings of pytest that leave no check out if they are true; ``--strict`` and the like override them."""
TRUE = ("true", "yes", "on", "1", "y", "t")


class Mode(Enum):
    """The kind of a pytest run."""

    DEPLOY = "deploy"
    VERIFY = "verify"
    PLAN = "plan"
    ORDINARY = "ordinary"  # pytest outside suites/, or --collect-only: no environment, no report


def project_of(config: pytest.Config) -> Project:
    """Return the project of a pytest run: the folder of its pytest.ini."""
    return Project(config.rootpath)


@dataclass(frozen=True)
class RunOptions:
    """The framework's options, as given on the command line."""

    mode: Mode
    target: str | None
    image_tag: str | None
    environment: str | None
    base_url: str | None
    live_url: str | None
    load: bool
    reports: Path
    partial: bool
    wait_for_lock: float = 0.0
    waive: tuple[str, ...] = ()
    strategy: str | None = None
    clean_plan: Path | None = None
    allow_irreversible: str | None = None
    allow_unhealthy_live: str | None = None
    attest: tuple[str, ...] = ()
    load_workers: int | None = None
    renamed: str | None = None
    accounts: Path | None = None
    headers: tuple[str, ...] = field(default=(), repr=False)
    host: str | None = None
    expect_version: str | None = None
    expect_digest: str | None = None
    one_check: bool = False
    """Whether `scripts/deploy.py check` runs a check: no person needs this run's report, so no store keeps its evidence."""

    def users(self) -> tuple[SmokeUser, ...]:
        """Return the accounts that ``--accounts`` or the variable gives to a verification of an address. Raises Refused."""
        try:
            if self.accounts is not None:
                return read_accounts(self.accounts, f"--accounts={self.accounts}")
            if self.base_url is not None and (given := os.environ.get(ACCOUNTS_VARIABLE)):
                return parse_smoke_users(given, f"the variable {ACCOUNTS_VARIABLE}")
        except ValueError as error:
            raise Refused(
                str(error),
                hint='Give a JSON list of {"email": …, "password": …}; a file must have mode 0600 (chmod 600 FILE).',
            ) from None
        return ()

    def route(self) -> Route:
        """Return how requests reach the release at ``--base-url``. Raises Refused."""
        try:
            return Route.of(self.headers, self.host)
        except ValueError as error:
            option = "--header" if "header" in str(error).lower() else "--host"
            raise Refused(f"{option}: {error}", hint="docs/run-a-deployment.md describes both options.") from None


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options; ``--base-url`` is shared with a plugin that already defines it. Raise UsageError for another such plugin."""
    group, manager = parser.getgroup("deployment", "blue/green deployment"), pluginmanager
    try:
        for add in (_add_deployment_options, _add_recorded_options, _add_verification_options):
            add(group)
    except ValueError as error:  # pytest does not say which plugin defined the option
        names = {manager.get_name(one) for one, _ in manager.list_plugin_distinfo() if hasattr(one, "pytest_addoption")}
        hint = f"Run without it: add one of {', '.join(sorted(f'-p no:{name}' for name in names))}"
        raise pytest.UsageError(f"an installed plugin has an option of this name: {error}\n  {hint}") from None


def _add_deployment_options(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--target",
        metavar="COLOUR",
        help="deploy to green, blue or auto (the idle colour); without it the run only verifies",
    )
    group.addoption("--image-tag", metavar="TAG", help="release to deploy (default: the highest version)")
    group.addoption(
        "--environment", metavar="NAME", help="environment of deployment.toml (default: its default_environment)"
    )
    group.addoption(
        "--strategy",
        metavar="HOW",
        help="all-at-once, canary:10%%,60s or linear:20%%,30s (default: from the settings)",
    )
    group.addoption("--plan", action="store_true", help="print the steps and checks of --target; change nothing")
    group.addoption(
        "--wait-for-lock",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="wait this long for a running deployment instead of refusing (default: 0)",
    )


def _add_recorded_options(group: pytest.OptionGroup) -> None:
    """Add the options that the journal records: waivers, permissions, attestations and the Terraform plan."""
    group.addoption(
        "--waive",
        metavar="GATE|CHECK=REASON",
        action="append",
        default=[],
        help="let a required gate fail, except health and live, or a check be weaker than before; repeatable",
    )
    group.addoption(
        "--allow-irreversible",
        metavar="REASON",
        help="deploy a release with an irreversible migration; a failure after the switch then halts with traffic unchanged",
    )
    group.addoption(
        "--allow-unhealthy-live",
        metavar="REASON",
        help="deploy although the live colour is unhealthy; bystander and continuity may then fail",
    )
    for old in RENAMED:
        group.addoption(old, nargs="?", const="", help=argparse.SUPPRESS)
    group.addoption("--one-check", action="store_true", help=argparse.SUPPRESS)
    group.addoption(
        "--attest",
        metavar="ITEM=WHO/WHAT",
        action="append",
        default=[],
        help="attest an item of checklist.toml with a person and a proof; repeatable",
    )
    group.addoption(
        "--require-clean-plan",
        metavar="FILE",
        help="Terraform plan (terraform show -json) that may change only the target colour",
    )


def _add_verification_options(group: pytest.OptionGroup) -> None:
    group.addoption("--load", action="store_true", help="in a verification: run the load gate as well")
    group.addoption(
        "--load-workers",
        metavar="N",
        type=int,
        help="Locust processes on this machine for the load (default: from the settings)",
    )
    group.addoption("--live-url", metavar="URL", help="with --base-url: the live service that shares its stores")
    group.addoption("--expect-version", metavar="V", help="with --base-url: the version that the release must report")
    group.addoption(
        "--expect-digest",
        metavar="D",
        help="with --base-url: the digest that the caller claims; recorded, not verified",
    )
    group.addoption(
        "--accounts",
        metavar="FILE",
        help=f'with --base-url: JSON list of {{"email", "password"}}, mode 0600 (default: the variable {ACCOUNTS_VARIABLE})',
    )
    group.addoption(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        default=[],
        help="with --base-url: a header of each request to it; repeatable",
    )
    group.addoption("--host", metavar="H", help="with --base-url: Host header and TLS name instead of the URL's")
    group.addoption("--reports", metavar="DIR", help="folder for reports (default: reports/)")
    # pytest-base-url, if installed, defines the same option with the same meaning.
    with contextlib.suppress(ValueError):
        group.addoption("--base-url", metavar="URL", help="verify this URL instead of the live release")


def read(config: pytest.Config, suites: Path) -> RunOptions:
    """Return the options of this run."""
    option = config.option
    inside, outside = _paths(config, suites)
    given = option.target is not None or bool(option.plan)
    ordinary = bool(outside) and not inside and not given
    if ordinary or any(getattr(option, question, None) for question in INFORMATION_OPTIONS):
        mode = Mode.ORDINARY
    elif option.plan:
        mode = Mode.PLAN
    else:
        mode = Mode.DEPLOY if option.target is not None else Mode.VERIFY
    return RunOptions(
        mode=mode,
        target=option.target,
        image_tag=option.image_tag,
        environment=option.environment,
        base_url=getattr(option, "base_url", None),
        live_url=option.live_url,
        load=option.load,
        reports=Path(option.reports).absolute() if option.reports else project_of(config).reports,
        partial=bool(selections(config, suites)),
        wait_for_lock=option.wait_for_lock,
        waive=tuple(option.waive),
        attest=tuple(option.attest),
        strategy=option.strategy,
        clean_plan=None if option.require_clean_plan is None else Path(option.require_clean_plan).absolute(),
        allow_irreversible=option.allow_irreversible,
        allow_unhealthy_live=option.allow_unhealthy_live,
        renamed=next((old for old in RENAMED if getattr(option, old[2:].replace("-", "_")) is not None), None),
        load_workers=option.load_workers,
        accounts=None if option.accounts is None else Path(option.accounts).absolute(),
        headers=tuple(option.header),
        host=option.host,
        expect_version=option.expect_version,
        expect_digest=option.expect_digest,
        one_check=option.one_check,
    )


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Raise UsageError for a run of ``suites/`` that disables a plugin of the framework, or that starts again and again.

    xdist's ``-f`` would deploy whenever a file changes.
    """
    off = [name for name in REQUIRED_PLUGINS if not config.pluginmanager.has_plugin(name)]
    off += [name for name in OWN_PLUGINS if config.pluginmanager.is_blocked(name)]
    again = getattr(config.option, "looponfail", False)
    if not (off or again) or read(config, project_of(config).suites).mode is Mode.ORDINARY:
        return
    raise _disabled(off[0]) if off else pytest.UsageError("-f (--looponfail) runs pytest again and again; omit it")


registered_key = pytest.StashKey[list[str]]()
"""The names of OWN_PLUGINS that this run has registered."""


def register(config: pytest.Config, plugin: object, name: str) -> None:
    """Register a plugin of the framework under a name of OWN_PLUGINS. Raise UsageError if this name is disabled."""
    assert name in OWN_PLUGINS, f"{name} is not in OWN_PLUGINS"
    if config.pluginmanager.register(plugin, name) is None:
        raise _disabled(name)
    config.stash.setdefault(registered_key, []).append(name)


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Raise UsageError if a conftest or a plugin has removed a plugin of the framework."""
    for name in session.config.stash.get(registered_key, []):
        if not session.config.pluginmanager.has_plugin(name):
            raise pytest.UsageError(f"a conftest or a plugin has removed {name}, which every run needs")


def _disabled(name: str) -> pytest.UsageError:
    return pytest.UsageError(f"-p no:{name} disables a plugin that every run needs; omit it")


def check(options: RunOptions, config: pytest.Config, suites: Path) -> None:
    """Raise Refused if options contradict each other, have invalid values, or would leave checks out of a deployment."""
    if options.renamed is not None:
        new = RENAMED[options.renamed]
        raise Refused(f"{options.renamed} does not exist any more: it is now called {new}", hint=f"Use {new}=REASON.")
    if options.target is not None and options.target not in TARGETS:
        raise Refused(f"--target={options.target} is not a colour", hint=f"Use one of: {', '.join(TARGETS)}.")
    if options.mode is Mode.PLAN and options.target is None:
        raise Refused("--plan requires --target", hint="Add --target=auto.")
    if config.option.require_clean_plan == "":
        raise Refused("--require-clean-plan must not be empty", hint="Give the file, or omit the option.")
    if options.clean_plan is not None and options.target is None:
        raise Refused("--require-clean-plan requires --target", hint="Add --target=auto.")
    if options.attest and options.target is None:
        raise Refused("--attest requires --target", hint="Add --target=auto.")
    if options.image_tag is not None and options.target is None:
        raise Refused("--image-tag requires --target", hint="Add --target=auto.")
    for name, reason in (
        ("--allow-irreversible", options.allow_irreversible),
        ("--allow-unhealthy-live", options.allow_unhealthy_live),
    ):
        if reason is not None and options.target is None:
            raise Refused(f"{name} requires --target", hint="Add --target=auto.")
        if reason is not None and not reason.strip():
            raise Refused(f"{name} must not be empty", hint="Give the reason, and what happens if the release fails.")
    if options.strategy is not None and options.target is None:
        raise Refused("--strategy requires --target", hint="Add --target=auto.")
    if options.waive and options.target is None:
        raise Refused("--waive requires --target", hint="Add --target=auto.")
    if not 0 <= options.wait_for_lock < float("inf"):
        raise Refused(f"--wait-for-lock={options.wait_for_lock:g} must be a number of seconds, at least 0")
    _check_workers(options)
    if options.base_url is not None and options.target is not None:
        raise Refused("--base-url verifies a URL and --target deploys: use only one of them")
    check_address_options(options)
    _check_values(options)
    if options.target is not None and (left_out := selections(config, suites)):
        why = "leaves checks out, but a deployment must run all checks"
        if left_out[0].startswith("-o "):
            why = "changes a setting of pytest.ini, but a deployment must run with those of the file"
        hint = f"Omit {left_out[0]}, or omit --target to verify without deploying."
        raise Refused(f"{left_out[0]} {why}", hint=hint)


def secrets_of_headers(headers: Iterable[str]) -> Iterator[str]:
    """Yield the values of ``--header`` that no output may show; all of a malformed one, which may hold anything."""
    for given in headers:
        try:
            yield from Route.of([given]).secrets()
        except ValueError:
            yield given
            yield given.partition(":")[2].strip()


def _check_workers(options: RunOptions) -> None:
    """Raise Refused if ``--load-workers`` is out of range, or if the run has no load gate."""
    workers = options.load_workers
    if workers is None:
        return
    if not 1 <= workers <= MOST_LOAD_WORKERS:
        raise Refused(
            f"--load-workers={workers} must be a number of Locust processes from 1 to {MOST_LOAD_WORKERS}",
            hint="Use one for each core that the load may use; other machines can join, see docs/gates.md.",
        )
    if options.target is None and not options.load:
        raise Refused("--load-workers requires the load gate", hint="Add --load, or deploy with --target.")


def check_address_options(options: RunOptions) -> None:
    """Raise Refused if an option of a verification of an address is malformed, or given without ``--base-url``."""
    given = {
        "--live-url": options.live_url is not None,
        "--accounts": options.accounts is not None,
        "--header": bool(options.headers),
        "--host": options.host is not None,
        "--expect-version": options.expect_version is not None,
        "--expect-digest": options.expect_digest is not None,
    }
    if options.base_url is None:
        if first := next((name for name, is_given in given.items() if is_given), None):
            hint = "Omit it: a deployment takes this from its environment." if options.target else "Add --base-url=URL."
            raise Refused(f"{first} requires --base-url", hint=hint)
        return
    if options.expect_version is not None and not options.expect_version.strip():
        raise Refused(
            "--expect-version must not be empty", hint="Give the version that the release's health check names."
        )
    if options.expect_digest is not None and not _DIGEST.fullmatch(options.expect_digest):
        raise Refused(
            f"--expect-digest={options.expect_digest!r} is not a digest",
            hint="Use sha256: and 64 hexadecimal digits in small letters.",
        )
    if options.live_url is not None and options.expect_version is None:
        raise Refused(
            "--live-url requires --expect-version: without it the same release at both addresses would pass",
            hint="Add --expect-version=V, the version of the release at --base-url.",
        )
    same = options.live_url is not None and options.live_url.rstrip("/") == options.base_url.rstrip("/")
    if same and options.route() == DIRECT:
        raise Refused(
            "--live-url and --base-url are the same address, so that one release would be compared with itself",
            hint="Give another address, or say with --header or --host what reaches the release.",
        )
    options.route()
    options.users()


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# The distribution specification's rule for tags.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def _check_values(options: RunOptions) -> None:
    """Raise Refused if the tag, the environment or a URL is malformed."""
    if options.image_tag is not None and not _TAG.fullmatch(options.image_tag):
        raise Refused(
            f"--image-tag={options.image_tag!r} is not a valid image tag",
            hint="Use a tag such as 1.1.0, or omit the option for the highest version.",
        )
    if options.environment == "":
        raise Refused("--environment must not be empty", hint="Omit it for the default_environment of deployment.toml.")
    check_url("--base-url", options.base_url)
    check_url("--live-url", options.live_url)


def check_url(option: str, given: str | None) -> None:
    """Raise Refused if an option's value is given and is not a URL of scheme, host and path; see ``address_problem``."""
    if given is None or (problem := address_problem(given, path=True)) is None:
        return
    quoted = "" if set("@?#") & set(given) else f"={given}"  # without anything that may be a secret
    raise Refused(
        f"{option}{quoted} {problem}",
        hint="Use http or https, a host and perhaps a path, such as https://api.example.com.",
    )


def selections(config: pytest.Config, suites: Path) -> list[str]:
    """Return the given options that leave checks out."""
    option = config.option
    found = {
        "-k": option.keyword,
        "-m": option.markexpr,
        "--deselect": option.deselect,
        "--ignore": option.ignore,
        "--ignore-glob": option.ignore_glob,
        "--lf": getattr(option, "lf", False),
        "--sw": getattr(option, "stepwise", False),
        "--sw-skip": getattr(option, "stepwise_skip", False),
        "--sw-reset": getattr(option, "stepwise_reset", False),
        "--setup-only": option.setuponly,
        "--setup-plan": option.setupplan,
        "--reruns": getattr(option, "reruns", None),
        "-c": config.inipath is not None and config.inipath != suites.parent / CONFIGURATION,
        "--noconftest": option.noconftest,
    }
    left_out = [name for name, value in found.items() if value]
    left_out += [f"-o {name}" for name, value in _overrides(config) if name not in STRICTNESS or value not in TRUE]
    inside, outside = _paths(config, suites)
    whole = [path for path in inside if path == suites]
    if (inside or outside) and not whole:
        left_out.append("a path")
    return left_out


def _overrides(config: pytest.Config) -> Iterator[tuple[str, str]]:
    """Yield name and value of each given override that changes the value in the run's pytest.ini."""
    file = configparser.RawConfigParser(allow_no_value=True, strict=False)
    with contextlib.suppress(configparser.Error):  # -c can name a file of another kind
        file.read(config.inipath or (), encoding="utf-8")
    for name, _, value in (given.partition("=") for given in config.option.override_ini or ()):
        if value.strip() != file.get("pytest", name, fallback=None):
            yield name, value.strip().lower()


def _paths(config: pytest.Config, suites: Path) -> tuple[list[Path], list[Path]]:
    """Return the paths of the command line: those in the suites' folder, and the others."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return [], []
    base = config.invocation_params.dir
    paths = [(base / argument.partition("::")[0]).resolve() for argument in config.args]
    inside = [path for path in paths if path.is_relative_to(suites)]
    return inside, [path for path in paths if not path.is_relative_to(suites)]
