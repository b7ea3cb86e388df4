"""``deploy``: starts pytest as a child process, and accepts its exit code only if its report says the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from deployment.errors import Refused
from deployment.evidence import receipt
from deployment.evidence.report import VERDICTS
from deployment.phases import Phase

INTERNAL_ERROR = 3
PROMOTED = VERDICTS[Phase.SUCCEEDED]
REPORTS = "--reports"
NO_RUN_OPTIONS = frozenset({"--plan", "--collect-only", "--co", "--help", "-h"})
"""pytest's options with which nothing is deployed and no report is written."""
Settle = Callable[[Path], int]


def deploy(command: Sequence[str], cwd: Path, options: Sequence[str], settle: Settle) -> int:
    """Run pytest and return its exit code if the closed report of this very run has the same one.

    Otherwise the run was cut short or its process was replaced: ``settle`` gets the folder of its report, recovers it,
    and its exit code is returned. Without a report's folder nothing was begun, and an exit code of 0 becomes 3.
    """
    options = joined(options)
    with _receipt(os.environ.get(receipt.RECEIPT)) as left:
        child = subprocess.Popen([*command, *options], cwd=cwd, env=os.environ | {receipt.RECEIPT: str(left)})
        # The terminal sends Ctrl-C to the child as well, which handles it; SIGTERM is passed on.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
        code = child.wait()
        folder = receipt.folder_of(left)
    if NO_RUN_OPTIONS.intersection(options):
        return code if code >= 0 else INTERNAL_ERROR
    if folder is None:
        if code == 0:
            click.echo("pytest ended with 0, but it began no deployment and wrote no report", err=True)
        return code if code > 0 else INTERNAL_ERROR
    report = receipt.report_of(folder)
    if report is not None and report["exit_code"] == code and (code or report["verdict"] == PROMOTED):
        return code
    click.echo(
        f"pytest ended with {code}, but {folder.name} has no closed report with this exit code: recovering it", err=True
    )
    return settle(folder)


def pytest_command(image_tag: str, target: str, environment: str | None) -> list[str]:
    """Return the command that deploys this release."""
    command = [sys.executable, "-m", "pytest", f"--target={target}", f"--image-tag={image_tag}"]
    return command if environment is None else [*command, f"--environment={environment}"]


def joined(options: Sequence[str]) -> list[str]:
    """Join ``--reports DIR`` into one argument: pytest would search a separate folder for its configuration."""
    kept: list[str] = []
    for option in options:
        if kept and kept[-1] == REPORTS:
            kept[-1] = f"{REPORTS}={option}"
        else:
            kept.append(option)
    return kept


@contextmanager
def _receipt(wanted: str | None) -> Iterator[Path]:
    """Yield the path of a receipt that does not exist yet: the caller's own, or one in a new folder.

    Raises Refused if the caller's file of an earlier run cannot be removed.
    """
    if wanted:
        path = Path(wanted).absolute()
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Refused(
                f"{receipt.RECEIPT}={wanted} cannot be replaced: {error.strerror}",
                hint="Name a file in a folder that can be written, or unset the variable.",
            ) from error
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="deploy-") as folder:
        yield Path(folder) / "receipt"
