"""The first two lines of a journal: who started what, where (``opened``), and which release it is about (``planned``).

The line ``opened`` also says which version of the report's schema the journal's report has, so that an older journal
yields the report that its own version wrote. In the same way it says which form the signed statement has, and which texts
the checklist.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployment.clock import process_identity
from deployment.evidence.journal import Journal, Record, last_data
from deployment.model import Colour, Image
from deployment.project import framework_version

FIRST_SCHEMA, SCHEMA_VERSION = 1, 2
FIRST_STATEMENT, SECOND_STATEMENT, THIRD_STATEMENT = 1, 2, 3
FIRST_CHECKLIST_TEXTS, SECOND_CHECKLIST_TEXTS, CHECKLIST_TEXTS = 1, 2, 3


JOURNAL_ONLY = ("retire", "unlock")
"""The commands that write a journal, and no report, no signature and no copy."""


def schema_of(records: Sequence[Record]) -> int:
    """Return the version of the report's schema that a journal declares; journals without one are of the first."""
    return int(last_data(records, "opened").get("schema_version", FIRST_SCHEMA))


def statement_version_of(records: Sequence[Record]) -> int:
    """Return the form of the signed statement that a journal declares; journals without one have the first form."""
    return int(last_data(records, "opened").get("statement_version", FIRST_STATEMENT))


def checklist_texts_of(records: Sequence[Record]) -> int:
    """Return the version of the checklist's texts that a journal declares; journals without one have the first."""
    return int(last_data(records, "opened").get("checklist_texts", FIRST_CHECKLIST_TEXTS))


def written_by() -> dict[str, Any]:
    """Return the fields of ``opened`` that say which version of the framework writes the journal."""
    return {
        "framework": framework_version(),
        "schema_version": SCHEMA_VERSION,
        "statement_version": THIRD_STATEMENT,
        "checklist_texts": CHECKLIST_TEXTS,
    }


@dataclass(frozen=True)
class Opening:
    """Who opens a journal, and for what. ``mode`` is the command: ``deploy``, ``verify``, ``rollback``, ``retire``, ``unlock``."""

    deployment_id: str
    environment: str | None
    mode: str
    by: str
    target: Colour | str | None = None


def open_journal(journal: Journal, opening: Opening, started_at: str, **more: Any) -> None:
    """Append the line ``opened`` for this process. ``started_at`` is ISO 8601, UTC; ``more`` is what only this mode knows."""
    journal.append(
        "opened",
        deployment_id=opening.deployment_id,
        environment=opening.environment,
        target=opening.target,
        by=opening.by,
        started_at=started_at,
        mode=opening.mode,
        host=socket.gethostname(),
        pid=os.getpid(),
        process_identity=process_identity(),
        **written_by(),
        **more,
    )


def plan_release(
    journal: Journal,
    target: Colour,
    image: Image | None,
    by: str,
    *,
    known: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Append the line ``planned``: the release that the run is about, on which colour, and for whom.

    ``known`` gives ``digest`` or ``version`` as the caller observed them; they take precedence over the image's.
    """
    observed = {"digest": image and image.digest, "version": image and image.version} | dict(known or {})
    declared = {"committed_at": image.committed_at, "migration": image.migration} if image is not None else {}
    declared = {name: value for name, value in declared.items() if value}
    journal.append("planned", target=target, image=image and image.name, **observed, **declared, by=by, **more)
