"""Write the summary of a deployment job on GitHub: what the report says, and an annotation unless the release is live.

`.github/workflows/deploy.yml` runs it with the standard library alone, also if the installation failed. The exit codes
come from the steps; what happened comes from the closed report of this very run, which its receipt names.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROLLED_BACK, HALTED, UNPROVEN = "10", "11", "0 without a report"
SENTENCES = {
    "0": "Promoted, baked and verified on the live domain.",
    "1": "Rejected: this deployment moved no live traffic.",
    "2": "Interrupted: the release was not promoted, or it was rolled back.",
    "3": "Internal error, or the run was cut short: the release was not promoted, or it was rolled back. Keep the report.",
    "4": "Refused: this deployment was not begun. The log says what to correct.",
    "5": "No check was collected: nothing was changed.",
    "10": "Rolled back after a promotion: users met the release. The previous colour is live again and verified.",
    "11": "ROLLBACK FAILED, or the live state is unknown: a person must act now.",
    UNPROVEN: "The deployment ended with 0, but no closed report says that it was promoted.",
    "": "The deployment did not start, or it was cut short before it could report a result.",
}
BY_VERDICT = {"promoted": "0", "rolled_back": ROLLED_BACK, "rollback_failed": HALTED}
"""The exit code of a run that had none of its own and was recovered, by the verdict of its report."""
AFTER_A_PROMOTION = ("rolled_back", "rollback_failed")
"""The verdicts that decide whatever the exit code is: a signal and a full disk give 2 and 3, also if users met the release."""
# The characters with a meaning in GitHub's Markdown, and the entities that show them as text.
_MARKDOWN = {ord(character): f"&#{ord(character)};" for character in "[]()*_!@~#\\:|`$"}


def report_of(receipt: str) -> dict[str, Any]:
    """Return the report of the run that left this receipt; empty if there is none."""
    try:
        folder = Path(Path(receipt).read_text(encoding="utf-8").strip())
        report = json.loads((folder / "verification.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) and report.get("deployment_id") == folder.name else {}


def result_of(code: str, settled: str, report: Mapping[str, Any]) -> str:
    """Return the exit code that describes the live state now, or UNPROVEN.

    A rollback, and a recovery that failed, count more than the deployment's own code.
    """
    if HALTED in (code, settled):
        return HALTED
    verdict = str(report.get("verdict"))
    if verdict in AFTER_A_PROMOTION or (report.get("recovered") and verdict in BY_VERDICT):
        return BY_VERDICT[verdict]
    return UNPROVEN if code == "0" and verdict != "promoted" else code


def failed_requests(report: Mapping[str, Any]) -> str:
    """Return how many requests of the prober failed while users met the release, as a sentence; empty if unknown."""
    rollback = report.get("rollback") or {}
    if not {"requests", "failed"} <= rollback.keys():
        return ""
    return f"{rollback['failed']} of {rollback['requests']} requests of the prober failed."


def _printable(text: str) -> str:
    """Return the text without control characters and those that change the direction of a text."""
    return "".join(one if one.isprintable() or one in "\r\n" else " " for one in text)


def cell(value: object) -> str:
    """Return a value as inline text of a table: a release's own words must not become Markdown or HTML."""
    text = " ".join(_printable(str(value)).split())
    for character, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, safe)
    # GitHub makes a link of a name that begins with www, also without a scheme.
    text = text.translate(_MARKDOWN).replace("www.", "www&#46;")
    return f"<code>{text}</code>"


def annotation(kind: str, title: str, text: str) -> str:
    """Return a command of GitHub's runner; one line, whatever ``text`` holds."""
    text = _printable(text)
    for character, safe in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(character, safe)
    return f"::{kind} title={title}::{text}"


def main(variables: Mapping[str, str]) -> int:
    """Write the summary and print the annotation; return 1 if the job ended with 0 and its report denies it or is missing, otherwise 0."""
    code, settled = variables.get("CODE", ""), variables.get("SETTLED", "")
    report = report_of(variables.get("DEPLOYMENT_RECEIPT", ""))
    result = result_of(code, settled, report)
    said = SENTENCES.get(
        result, f"The deployment ended with code {result}, which this tool does not use: it was killed."
    )
    if result == ROLLED_BACK and (failed := failed_requests(report)):
        said = f"{said} {failed}"
    rows = {
        "verdict": report.get("verdict"),
        "reason": report.get("reason"),
        "release": report.get("image") or variables.get("IMAGE_TAG"),
        "digest": report.get("digest"),
        "colour": report.get("target") or variables.get("TARGET"),
        "environment": report.get("environment") or variables.get("ENVIRONMENT"),
        "deployment": report.get("deployment_id"),
        "exit code": code or "none",
        "recover": settled,
    }
    lines = ["### Deployment", "", f"**{said}**", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {cell(value)} |" for name, value in rows.items() if value not in (None, "")]
    with Path(variables["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as summary:
        summary.write("\n".join([*lines, "", ""]))
    if result == HALTED:
        where = variables.get("ENVIRONMENT", "the environment")
        text = f"The live state of {where} is unknown or wrong. Follow docs/roll-back-by-hand.md."
        print(annotation("error", "A person must act now", text))
    elif result == ROLLED_BACK:
        print(annotation("error", "Rolled back", f"{said} {report.get('reason') or ''}".strip()))
    elif result == UNPROVEN:
        print(annotation("error", "Not proven", said))
    elif result != "0":
        print(annotation("warning", "Not deployed", said))
    return 1 if code == "0" != result else 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
