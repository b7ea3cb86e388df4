"""How long each step usually takes, by the reports of earlier runs; shown while a run works, and used for nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from deployment.evidence.past.runs import LARGEST, NOT_A_REPORT
from deployment.evidence.report import REPORT_FILE

NEWEST = 20
"""The most runs that are read: the newest of the environment."""
LISTED = 200
"""The most folders that are looked at, so that a folder of many years does not slow a run down."""


def durations(reports: Path, environment: str, besides: str = "") -> dict[str, float]:
    """Return the median duration of each step that passed, in seconds, in the newest runs of an environment.

    ``besides`` is the running one. A report that cannot be read is left out.
    """
    found: dict[str, list[float]] = {}
    read = 0
    for report in _newest(reports, besides):
        try:
            if report["environment"] != environment or not report["steps"]:
                continue
            for step in report["steps"]:
                seconds = float(step["duration_s"])
                if step["outcome"] == "passed" and math.isfinite(seconds):
                    found.setdefault(str(step["name"]), []).append(seconds)
        except NOT_A_REPORT:
            continue
        read += 1
        if read == NEWEST:
            break
    return {step: median(values) for step, values in found.items()}


def _newest(reports: Path, besides: str) -> Iterator[Mapping[str, Any]]:
    """Yield the reports of a folder, newest first: the ids of runs begin with the time."""
    try:
        folders = sorted((one for one in reports.iterdir() if one.name[:1].isdigit()), reverse=True)
    except OSError:
        return
    for folder in folders[:LISTED]:
        path = folder / REPORT_FILE
        try:
            if folder.name == besides or not path.is_file() or path.stat().st_size > LARGEST:
                continue
            yield json.loads(path.read_bytes())
        except (OSError, *NOT_A_REPORT):
            continue
