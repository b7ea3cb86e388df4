"""``deploy``: starts pytest as a child process, and checks its report besides its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

INTERNAL_ERROR = 3
REPORTS = "--reports"
NO_RUN_OPTIONS = frozenset({"--plan", "--collect-only", "--co", "--help", "-h"})
"""pytest's options with which nothing is deployed and no report is written."""


def deploy(root: Path, image_tag: str, target: str, environment: str | None, options: Sequence[str]) -> int:
    """Run pytest and return its exit code; return 3 if it succeeded without a report of a promotion."""
    options = joined(options)
    command = [sys.executable, "-m", "pytest", f"--target={target}", f"--image-tag={image_tag}", *options]
    if environment is not None:
        command.append(f"--environment={environment}")
    before = _latest(root, options)
    child = subprocess.Popen(command, cwd=root)
    # The terminal sends Ctrl-C to the child as well, which handles it; SIGTERM is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    if code == 0 and not NO_RUN_OPTIONS.intersection(options) and not _confirmed(_latest(root, options), before):
        click.echo("pytest exited with 0 but wrote no report of a promotion: the run did not finish", err=True)
        return INTERNAL_ERROR
    return code if code >= 0 else INTERNAL_ERROR


def joined(options: Sequence[str]) -> list[str]:
    """Join ``--reports DIR`` into one argument: pytest would search a separate folder for its configuration."""
    kept: list[str] = []
    for option in options:
        if kept and kept[-1] == REPORTS:
            kept[-1] = f"{REPORTS}={option}"
        else:
            kept.append(option)
    return kept


def _latest(root: Path, options: Sequence[str]) -> Path | None:
    given = [option.partition("=")[2] for option in options if option.startswith(f"{REPORTS}=")]
    link = root / (given[-1] if given else "reports") / "latest"
    return Path(os.path.realpath(link)) if link.exists() else None


def _confirmed(latest: Path | None, before: Path | None) -> bool:
    if latest is None or latest == before:
        return False
    report = json.loads((latest / "verification.json").read_text(encoding="utf-8"))
    return bool(report["exit_code"] == 0)
