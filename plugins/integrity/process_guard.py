"""Refuse a run whose processes would not run the checks of this folder as pytest does: other gateways, missing plugins."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployment.errors import Refused
from plugins.stages import files_below

# Without these plugins of pytest, checks are not collected, or a failure in them does not count.
NEEDED_PLUGINS = (
    "python",
    "unittest",
    "skipping",
    "assertion",
    "warnings",
    "threadexception",
    "unraisableexception",
    "subtests",
    "logging",
)


def refuse_missing_plugins(config: pytest.Config) -> None:
    """Raise Refused if ``-p no:`` disables a plugin that collects checks or reports their failures."""
    for name in NEEDED_PLUGINS:
        if not config.pluginmanager.has_plugin(name):
            raise Refused(
                f"pytest's plugin {name} is disabled, so checks or their failures could be missed",
                hint=f"Remove -p no:{name} from the command and PYTEST_ADDOPTS.",
            )


def refuse_other_gateways(config: pytest.Config) -> None:
    """Raise Refused if xdist's workers would not be plain processes of this machine in this folder."""
    option = config.option
    for spec in getattr(option, "tx", None) or ():
        _, star, gateway = spec.rpartition("*")
        if (gateway if star else spec) != "popen":
            raise Refused(
                f"--tx {spec} could run the checks elsewhere or with another interpreter; only popen is accepted",
                hint="Use -n NUMBER for workers on this machine.",
            )
    for name, given in (("--px", getattr(option, "px", None)), ("--rsyncdir", getattr(option, "rsyncdir", None))):
        if given:
            raise Refused(
                f"{name} {given[0]} belongs to workers elsewhere; the checks run only on this machine",
                hint="Use -n NUMBER for workers on this machine.",
            )


def refuse_debugger_without_terminal(config: pytest.Config) -> None:
    """Raise Refused if ``--trace`` would end the run at its first check, because no person can type there."""
    option = config.option
    if not getattr(option, "trace", False):
        return
    if getattr(option, "dist", "no") != "no":
        raise Refused("--trace opens the debugger in each check, and a worker has no terminal", hint="Omit -n.")
    if not _reads_a_terminal(config):
        raise Refused(
            "--trace opens the debugger in each check, and the input of this process is not a terminal",
            hint="Omit --trace, or run pytest in a terminal.",
        )


def _reads_a_terminal(config: pytest.Config) -> bool:
    """Return whether the process's own input is a terminal. Before collection pytest still replaces it, and captures no output."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        return os.isatty(0)
    capture.suspend_global_capture(in_=True)
    try:
        return os.isatty(0)
    finally:
        capture.resume_global_capture()
        capture.suspend_global_capture()


def file_hashes(suites: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below ``suites/``, without Python's caches, by its path relative to the folder."""
    found = {}
    for path in files_below(suites):
        if path.is_file():
            found[path.relative_to(suites).as_posix()] = _sha256(path)
    return found


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return error.strerror or type(error).__name__


def first_difference(here: Mapping[str, str], there: Mapping[str, str]) -> str | None:
    """Return the first file whose hash differs; None if both are the same."""
    return next((name for name in sorted({*here, *there}) if here.get(name) != there.get(name)), None)
