"""The verification summary of a run: whether an image passed, for policy engines, in an envelope of its own.

Format: https://slsa.dev/spec/v1.2/verification_summary. It names only levels of this framework, because the framework does not evaluate SLSA's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deployment.evidence.attestation import (
    ENVELOPE_FILE,
    STATEMENT_TYPE,
    SUMMARY_FILE,
    Signer,
    digests,
    statement,
)
from deployment.evidence.intoto.configuration import SETTINGS, image, project_uri, report_uri
from deployment.evidence.journal import Record, last_data, made_of_lines
from deployment.evidence.junit import MODES
from deployment.evidence.opening import SECOND_STATEMENT, statement_version_of
from deployment.files import replace_file

PREDICATE_TYPE = "https://slsa.dev/verification_summary/v1"
PRODUCT = "blue-green-verification"
VERIFIER = f"pkg:generic/{PRODUCT}"
LEVELS = {"promoted": "DEPLOYMENT_PROMOTED", "verified": "DEPLOYMENT_VERIFIED"}
"""The level of each verdict that is a success. None begins with ``SLSA_``: those are SLSA's own."""
WITHOUT_WARNINGS = "DEPLOYMENT_WITHOUT_WARNINGS"
UNEVALUATED = "SLSA_BUILD_LEVEL_UNEVALUATED"
FAILED = ("rejected", "rolled_back", "rollback_failed", "failed")


@made_of_lines("the summary")
def summary(records: Sequence[Record], envelope: bytes) -> dict[str, Any] | None:
    """Return the summary of a closed journal. ``envelope`` is the signed statement that it sums up.

    None if the run did not verify an image as a whole: it was refused or partial, it was a command such as ``rollback``, its
    image is unknown, or an earlier version wrote its journal. Raises JournalBroken.
    """
    planned, opened, closed = (last_data(records, kind) for kind in ("planned", "opened", "closed"))
    verdict = closed.get("verdict")
    about_release = opened.get("mode") in MODES and bool(planned.get("digest"))
    decided = verdict in (*LEVELS, *FAILED) and not closed.get("partial")
    if statement_version_of(records) < SECOND_STATEMENT or not about_release or not decided:
        return None
    released = image(planned)
    predicate: dict[str, Any] = {
        "verifier": {"id": VERIFIER, "version": {PRODUCT: opened.get("framework")}},
        "resourceUri": released["uri"],
        "policy": _policy(records),
        "inputAttestations": [
            {
                "uri": report_uri(records, ENVELOPE_FILE),
                "digest": {"sha256": hashlib.sha256(envelope).hexdigest()},
            }
        ],
        "verificationResult": "PASSED" if verdict in LEVELS else "FAILED",
        "verifiedLevels": _levels(records, str(verdict)),
    }
    if closed.get("finished_at"):
        predicate["timeVerified"] = str(closed["finished_at"]).replace("+00:00", "Z")
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": planned.get("image") or planned["digest"], "digest": released["digest"]}],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def _policy(records: Sequence[Record]) -> Mapping[str, Any]:
    """Return the settings, which name the required gates and their limits; without a digest if it was not recorded."""
    found = [one for one in last_data(records, "manifest").get("inputs", ()) if one["role"] == SETTINGS]
    if not found:
        return {"uri": project_uri("deployment.toml")}
    return {"uri": project_uri(found[0]["path"]), "digest": {"sha256": found[0]["sha256"]}}


def _levels(records: Sequence[Record], verdict: str) -> list[str]:
    if verdict not in LEVELS:
        return ["FAILED"]
    clean = statement(records, {})["predicate"]["result"] == "PASSED"
    return [LEVELS[verdict], *([WITHOUT_WARNINGS] if clean else []), UNEVALUATED]


def sign(folder: Path, records: Sequence[Record], signer: Signer) -> None:
    """Write the signed statement and, if the run has one, the signed summary. Raises OSError."""
    envelope = signer.sign(statement(records, digests(folder)))
    replace_file(folder / ENVELOPE_FILE, envelope.decode())
    if (found := summary(records, envelope)) is None:
        (folder / SUMMARY_FILE).unlink(missing_ok=True)
    else:
        replace_file(folder / SUMMARY_FILE, signer.sign(found).decode())
