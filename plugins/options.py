"""The options of a run, and which options of pytest's own a deployment refuses."""

from __future__ import annotations

import argparse
import contextlib
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deployment.errors import Refused
from deployment.model import Colour

AUTO = "auto"
MOST_LOAD_WORKERS = 64
NEEDED = ("plugins.run", "plugins.fixtures", "plugins.reports")
TARGETS = (*Colour, AUTO)
OLD_ALLOW_UNHEALTHY_LIVE = "--on-sick-live"
DEPRECATED = f"{OLD_ALLOW_UNHEALTHY_LIVE} is now called --allow-unhealthy-live; the old name works until version 2.0.0"
# pytest's own questions: it answers and runs nothing, so there is nothing to report.
QUESTIONS = ("collectonly", "help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow")


class Mode(Enum):
    """What a pytest run is."""

    DEPLOY = "deploy"
    VERIFY = "verify"
    PLAN = "plan"
    ORDINARY = "ordinary"  # pytest on something else than suites/, or --collect-only: no environment, no report


@dataclass(frozen=True)
class RunOptions:
    """The framework's own options, as given."""

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
    deprecated: str | None = None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options; one that another plugin owns already is shared with it."""
    group = parser.getgroup("deployment", "blue/green deployment")
    _of_deployments(group)
    _on_the_record(group)
    _of_verifications(group)


def _of_deployments(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--target",
        metavar="COLOUR",
        help="deploy to green, blue, or auto (whichever is idle); without it nothing is deployed",
    )
    group.addoption("--image-tag", metavar="TAG", help="the release to deploy (default: the highest version)")
    group.addoption("--environment", metavar="NAME", help="an environment of deployment.toml (default: its default)")
    group.addoption(
        "--strategy",
        metavar="HOW",
        help="all-at-once, or a share of the traffic first: canary:10%%,60s or linear:20%%,30s (default: the settings')",
    )
    group.addoption(
        "--plan", action="store_true", help="say what --target would do and which checks would run; change nothing"
    )
    group.addoption(
        "--wait-for-lock",
        metavar="SECONDS",
        type=float,
        default=0.0,
        help="wait so long for a deployment that is under way, instead of being refused at once (default: 0)",
    )


def _on_the_record(group: pytest.OptionGroup) -> None:
    """What somebody answers for, and what is asked for as proof: the journal keeps it."""
    group.addoption(
        "--waive",
        metavar="GATE=REASON",
        action="append",
        default=[],
        help="let a required gate fail, on the record; repeatable; never health or live",
    )
    group.addoption(
        "--allow-irreversible",
        metavar="REASON",
        help="deploy a release whose migration is irreversible: a failure after the switch then freezes",
    )
    group.addoption(
        "--allow-unhealthy-live",
        metavar="REASON",
        help="deploy although the live colour is unhealthy: bystander and continuity may then fail, and nothing is rolled back to it",
    )
    group.addoption(OLD_ALLOW_UNHEALTHY_LIVE, metavar="REASON", help=argparse.SUPPRESS)
    group.addoption(
        "--attest",
        metavar="ITEM=WHO/WHAT",
        action="append",
        default=[],
        help="somebody's word for an item of checklist.toml; repeatable",
    )
    group.addoption(
        "--require-clean-plan",
        metavar="FILE",
        help="a Terraform plan (terraform show -json) that must change nothing but the target colour",
    )


def _of_verifications(group: pytest.OptionGroup) -> None:
    group.addoption("--load", action="store_true", help="when only verifying: run the load gate, too")
    group.addoption(
        "--load-workers",
        metavar="N",
        type=int,
        help="make the load with so many Locust processes on this machine (default: the settings')",
    )
    group.addoption(
        "--live-url", metavar="URL", help="with --base-url: the live service beside it, which shares its state"
    )
    group.addoption("--reports", metavar="DIR", help="folder for reports (default: reports/)")
    # pytest-base-url, where somebody has it, owns the same option with the same meaning.
    with contextlib.suppress(ValueError):
        group.addoption("--base-url", metavar="URL", help="verify this URL instead of what is live")


def read(config: pytest.Config, suites: Path) -> RunOptions:
    """The options of this run."""
    option = config.option
    inside, outside = _paths(config, suites)
    given = option.target is not None or bool(option.plan)
    ordinary = bool(outside) and not inside and not given
    if ordinary or any(getattr(option, question, None) for question in QUESTIONS):
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
        reports=Path(option.reports).absolute() if option.reports else config.rootpath / "reports",
        partial=bool(selections(config, suites)),
        wait_for_lock=option.wait_for_lock,
        waive=tuple(option.waive),
        attest=tuple(option.attest),
        strategy=option.strategy,
        clean_plan=Path(option.require_clean_plan).absolute() if option.require_clean_plan else None,
        allow_irreversible=option.allow_irreversible,
        allow_unhealthy_live=_first(option.allow_unhealthy_live, option.on_sick_live),
        deprecated=DEPRECATED if option.on_sick_live is not None else None,
        load_workers=option.load_workers,
    )


def _first(value: str | None, otherwise: str | None) -> str | None:
    return otherwise if value is None else value


def pytest_configure(config: pytest.Config) -> None:
    """Without the plugins that make a verdict there is none: raises UsageError where one of them was switched off."""
    off = [name for name in NEEDED if not config.pluginmanager.has_plugin(name)]
    if off and config.option.target is not None:
        raise pytest.UsageError(f"-p no:{off[0]} switches off what a deployment's verdict needs; leave it away")


def check(options: RunOptions, config: pytest.Config, suites: Path) -> None:
    """Raises Refused where the options contradict each other, or would leave out what a deployment must ask."""
    if options.target is not None and options.target not in TARGETS:
        raise Refused(f"--target={options.target} is no colour", hint=f"Give one of: {', '.join(TARGETS)}.")
    if options.mode is Mode.PLAN and options.target is None:
        raise Refused("--plan says what a deployment would do, and no --target was given", hint="Add --target=auto.")
    if options.clean_plan is not None and options.target is None:
        raise Refused("--require-clean-plan is of a deployment, and no --target was given", hint="Add --target=auto.")
    if options.attest and options.target is None:
        raise Refused("--attest is of a deployment, and no --target was given", hint="Add --target=auto.")
    if options.image_tag is not None and options.target is None:
        raise Refused("--image-tag names a release to deploy, and no --target was given", hint="Add --target=auto.")
    for name, reason in (
        ("--allow-irreversible", options.allow_irreversible),
        ("--allow-unhealthy-live", options.allow_unhealthy_live),
    ):
        if reason is not None and options.target is None:
            raise Refused(f"{name} lets a release be deployed, and no --target was given")
        if reason is not None and not reason.strip():
            raise Refused(f"{name} gives no reason", hint="Say why, and what happens if the release fails.")
    if options.strategy is not None and options.target is None:
        raise Refused("--strategy says how traffic moves, and no --target was given", hint="Add --target=auto.")
    if options.waive and options.target is None:
        raise Refused("--waive lets a gate fail in a deployment, and no --target was given")
    if not 0 <= options.wait_for_lock < float("inf"):
        raise Refused(f"--wait-for-lock={options.wait_for_lock:g} is no number of seconds")
    _check_workers(options)
    if options.base_url is not None and options.target is not None:
        raise Refused("--base-url verifies an address, --target deploys: give one of them")
    if options.live_url is not None and options.base_url is None:
        raise Refused("--live-url names the live service beside --base-url, and no --base-url was given")
    _check_words(options)
    if options.target is not None and (left_out := selections(config, suites)):
        raise Refused(
            f"{left_out[0]} leaves checks out, and a deployment runs them all",
            hint=f"Leave {left_out[0]} away, or verify without deploying (no --target).",
        )


def _check_workers(options: RunOptions) -> None:
    """Raises Refused where ``--load-workers`` is no number of them, or there is no load to make."""
    workers = options.load_workers
    if workers is None:
        return
    if not 1 <= workers <= MOST_LOAD_WORKERS:
        raise Refused(
            f"--load-workers={workers} is no number of Locust processes: 1 to {MOST_LOAD_WORKERS} are possible",
            hint="One for each core that the load may take; others can join from elsewhere, see docs/gates.md.",
        )
    if options.target is None and not options.load:
        raise Refused("--load-workers is of the load gate, which is not run", hint="Add --load, or deploy (--target).")


# The distribution specification's rule for tags.
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def _check_words(options: RunOptions) -> None:
    """Raises Refused where a value cannot be what it is given as."""
    if options.image_tag is not None and not _TAG.fullmatch(options.image_tag):
        raise Refused(
            f"--image-tag={options.image_tag!r} is no tag of an image",
            hint="Give one like --image-tag=1.1.0, or leave it away for the highest version.",
        )
    if options.environment == "":
        raise Refused("--environment= names none", hint="Leave it away for the default one of deployment.toml.")
    _check_url("--base-url", options.base_url)
    _check_url("--live-url", options.live_url)


def _check_url(option: str, given: str | None) -> None:
    if given is None:
        return
    example = "Give it with scheme and host, as in https://api.example.com."
    try:
        url = urlsplit(given)
        complete = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:  # a port that is none, a bracket that is left open
        complete = False
    if not complete:
        raise Refused(f"{option}={given} is no URL", hint=example)
    if url.username is not None or url.query or url.fragment:
        raise Refused(f"{option} holds a user, a query or a fragment, and is an address only", hint=example)


def selections(config: pytest.Config, suites: Path) -> list[str]:
    """The options in force that leave checks out."""
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
        "-o": option.override_ini,
        "-c": config.inipath is not None and config.inipath != suites.parent / "pytest.ini",
        "--noconftest": option.noconftest,
    }
    left_out = [name for name, value in found.items() if value]
    inside, outside = _paths(config, suites)
    whole = [path for path in inside if path == suites]
    if (inside or outside) and not whole:
        left_out.append("a path")
    return left_out


def _paths(config: pytest.Config, suites: Path) -> tuple[list[Path], list[Path]]:
    """The paths given on the command line: those in the suites' folder, and the others."""
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return [], []
    base = config.invocation_params.dir
    paths = [(base / argument.partition("::")[0]).resolve() for argument in config.args]
    inside = [path for path in paths if path.is_relative_to(suites)]
    return inside, [path for path in paths if not path.is_relative_to(suites)]
