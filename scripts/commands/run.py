"""``deploy``: the pytest run, watched by a parent process that does not take its word for it."""

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
ONLY_TELL = frozenset({"--plan", "--collect-only", "--co", "--help", "-h"})
"""pytest's options with which nothing is deployed, and no report written."""


def deploy(root: Path, image_tag: str, target: str, environment: str | None, options: Sequence[str]) -> int:
    """Runs pytest and returns its exit code; a success without a report that says so is none."""
    options = joined(options)
    command = [sys.executable, "-m", "pytest", f"--target={target}", f"--image-tag={image_tag}", *options]
    if environment is not None:
        command.append(f"--environment={environment}")
    before = _latest(root, options)
    child = subprocess.Popen(command, cwd=root)
    # Ctrl-C reaches the child by itself, which decides; a SIGTERM for this process is passed on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
    code = child.wait()
    if code == 0 and not ONLY_TELL.intersection(options) and not _confirmed(_latest(root, options), before):
        click.echo("pytest ended with 0 and wrote no report of a promotion: the run was cut short", err=True)
        return INTERNAL_ERROR
    return code if code >= 0 else INTERNAL_ERROR


def joined(options: Sequence[str]) -> list[str]:
    """``--reports DIR`` as one word: pytest takes a folder that stands alone for the place of its own configuration."""
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
