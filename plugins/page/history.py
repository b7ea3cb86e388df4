"""``reports/index.html``: all runs on one page, rebuilt from the reports alone. It decides nothing and has a deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployment.errors import first_line
from deployment.evidence.past import marks as marking
from deployment.evidence.past.figures import COUNTED, Figures, figures, slowest
from deployment.evidence.past.runs import Seen, read
from deployment.files import replace_file
from plugins.page.rendering import encodable, template
from verification import history as checks

INDEX_FILE = "index.html"
CHECKS_SHOWN = 10
DEADLINE_S = 10.0


@dataclass(frozen=True)
class Index:
    """The page about all runs, the figures of each environment on it, and what was left out, each with the reason."""

    text: str
    figures: Sequence[Figures]
    left_out: Sequence[tuple[str, str]]


def page(reports: Path) -> str:
    """Return the page about the runs of a folder of reports."""
    return index(reports).text


def index(reports: Path) -> Index:
    """Return the page about the runs of a folder of reports, with its figures."""
    past = read(reports)
    marks, problems = marking.read(reports)
    runs = list(reversed(past.runs))
    flaky, unread = flakiest_checks(reports, past.seen)
    counted = figures(past.runs, marks)
    left_out = [*past.left_out, *unread, *((marking.MARKS_FILE, problem) for problem in problems)]
    text = template("history.html", "history.js").render(
        runs=runs,
        marks=marks,
        left_out=left_out,
        figures=counted,
        counted=COUNTED,
        slowest=slowest(past.runs),
        flakiest=flaky,
        environments=sorted({run.environment for run in runs}),
        verdicts=sorted({run.verdict for run in runs}),
        pages={run.id for run in runs if (reports / run.id / "report.html").is_file()},
    )
    return Index(encodable(text), counted, left_out)


def flakiest_checks(
    reports: Path, seen: Mapping[str, Seen]
) -> tuple[list[tuple[str, checks.History]], list[tuple[str, str]]]:
    """Return the checks that fail by chance most often, and what could not be read: the page is written without it.

    ``seen``: the reports that the caller has read.
    """
    try:
        return checks.flakiest(checks.read(reports, flaky=True, seen=seen), CHECKS_SHOWN), []
    except Exception as error:
        return [], [("the history of the checks", f"it cannot be read: {first_line(error)}")]


def refresh(reports: Path, say: Callable[[str], None], deadline_s: float = DEADLINE_S) -> Index | None:
    """Write the page anew; return it, None if it was not written. Raises nothing: ``say`` gets the problem."""
    pages: list[Index] = []
    problems = [f"it took longer than {deadline_s:g} s; `python scripts/deploy.py history` writes it"]

    def build() -> None:
        try:
            pages.append(index(reports))
        except Exception as error:
            problems[0] = f"{type(error).__name__}: {first_line(error)}"

    worker = threading.Thread(target=build, daemon=True, name="history")
    worker.start()
    worker.join(deadline_s)
    if pages:
        try:
            replace_file(reports / INDEX_FILE, pages[0].text, durable=False)
            return pages[0]
        except OSError as error:
            problems[0] = str(error.strerror)
    say(f"{INDEX_FILE} was not written: {problems[0]}")
    return None
