"""The tested release and the files that the tests used, as resource descriptors for the in-toto statement.

Format: https://github.com/in-toto/attestation/blob/main/spec/v1/resource_descriptor.md. The URIs are package URLs
(https://github.com/package-url/purl-spec), because they name a file of a project without saying where the project is kept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deployment.evidence.journal import Record, last_data
from deployment.evidence.opening import SECOND_STATEMENT, statement_version_of

FIRST_NAME = "deployment-verification"
"""The name of the first descriptor. It never changes, because policy engines such as Conforma name the test by it."""
SUITES = "suites"
SETTINGS = "settings"

# The journal lines that the configuration of the first form consists of.
LINES = ("opened", "manifest", "planned", "exempt")


def configuration(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the predicate's ``configuration``, in the form that the journal declares."""
    if statement_version_of(records) < SECOND_STATEMENT:
        return [
            {"name": f"audit.jsonl:{record.seq} {record.kind}", "digest": {"sha256": record.hash}}
            for record in records
            if record.kind in LINES
        ]
    return list(_descriptors(records))


def _descriptors(records: Sequence[Record]) -> Iterator[dict[str, Any]]:
    """Yield the run, its checks, the image, the files with a role of their own, and the other files of the suites."""
    manifest, planned = last_data(records, "manifest"), last_data(records, "planned")
    opened = next((record for record in records if record.kind == "opened"), None)
    journal = report_uri(records, "audit.jsonl")
    if opened is not None:
        yield {"name": FIRST_NAME, "uri": journal, "digest": {"sha256": opened.hash}}
    if "sha256" in manifest:
        yield {"name": "checks", "uri": journal, "digest": {"sha256": manifest["sha256"]}}
    exempt = next((record for record in records if record.kind == "exempt"), None)
    if exempt is not None:
        yield {"name": "exempt checks", "uri": journal, "digest": {"sha256": exempt.hash}}
    if planned.get("digest"):
        yield {"name": "image", **image(planned)}
    with_role = {one["path"] for one in manifest.get("inputs", ())}
    for one in manifest.get("inputs", ()):
        yield {"name": one["role"], "uri": project_uri(one["path"]), "digest": {"sha256": one["sha256"]}}
    for file, digest in manifest.get("files", {}).items():
        path = f"{SUITES}/{file}"
        if path not in with_role:
            yield {"name": path, "uri": project_uri(path), "digest": {"sha256": digest}}


def image(planned: Mapping[str, Any]) -> dict[str, Any]:
    """Return URI and digest of the planned image, whose digest is known."""
    algorithm, _, digest = str(planned["digest"]).partition(":")
    # The part before the last slash names a registry, whose port also follows a colon.
    name, _, tag = str(planned.get("image") or "image").rpartition("/")[2].partition(":")
    uri = f"pkg:oci/{quote(name.lower())}@{algorithm}%3A{digest}"
    return {"uri": uri + (f"?tag={quote(tag, safe='')}" if tag else ""), "digest": {algorithm: digest}}


def project_uri(path: str) -> str:
    """Return the URI of a file of the project. ``path`` is relative to the project's folder."""
    return f"pkg:generic/deployment-project#{quote(path)}"


def report_uri(records: Sequence[Record], file: str) -> str:
    """Return the URI of a file in the run's report."""
    run = str(last_data(records, "opened").get("deployment_id"))
    return f"pkg:generic/deployment-report@{quote(run, safe='')}#{quote(file)}"


def inputs(root: Path, roles: Mapping[str, Path | None]) -> list[dict[str, str]]:
    """Return role, path below ``root`` and SHA-256 of each file that can be read, for the journal's line ``manifest``.

    Of a file outside of ``root`` only the name is kept: the other folders are those of one machine.
    """
    found = []
    for role, path in roles.items():
        try:
            content = path.read_bytes() if path is not None and path.is_file() else None
        except OSError:  # its own reader refuses a file that cannot be read
            content = None
        if path is not None and content is not None:
            # Not resolved on the disk: a link in the project stays the path that the project names.
            plain = Path(os.path.normpath(path))
            shown = plain.relative_to(root).as_posix() if plain.is_relative_to(root) else plain.name
            found.append({"role": role, "path": shown, "sha256": hashlib.sha256(content).hexdigest()})
    return found
