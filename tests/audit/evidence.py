"""A small closed run: a real signing key, a store and a lease in memory, and a folder that tests can change."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deployment.errors import StoredOtherwise
from deployment.evidence import archive
from deployment.evidence.archive import Archive
from deployment.evidence.attestation import ENVELOPE_FILE, Signer
from deployment.evidence.audit import Anchors, Finding, Outcome, examine
from deployment.evidence.journal import JOURNAL_FILE, Journal, line_hash
from deployment.evidence.opening import SECOND_STATEMENT
from deployment.evidence.store.copies import copies
from tests.deployment.fakes import FakeClock, FakeCloud, FakeLease

ENVIRONMENT = "test"
GATES = [
    {
        "name": name,
        "required": name != "load",
        "outcome": "passed" if name != "load" else "failed",
        "checks": 2,
        "failed": 0,
        "duration_s": 0.1,
        "waived": None,
    }
    for name in ("health", "load", "live")
]
NOTHING_MORE: Mapping[str, Any] = {}
TESTED = {
    "sha256": "1" * 64,
    "files": {"service.yaml": "2" * 64, "auth/test_log in.py": "3" * 64},
    "inputs": [
        {"role": "settings", "path": "deployment.toml", "sha256": "4" * 64},
        {"role": "service", "path": "suites/service.yaml", "sha256": "2" * 64},
    ],
}
"""The fields of the line ``manifest`` about the checks and the files."""


def private_pem() -> str:
    """Return a new private key in PEM."""
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class MemoryStore:
    """An AuditStore in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        """See ``deployment.ports.AuditStore``."""
        if self.kept.setdefault(name, content) != content:
            raise StoredOtherwise(name)

    def get(self, name: str) -> bytes | None:
        """See ``deployment.ports.AuditStore``."""
        return self.kept.get(name)

    def names(self, prefix: str) -> list[str]:
        """See ``deployment.ports.AuditStore``."""
        return sorted(name for name in self.kept if name.startswith(prefix))


@dataclass
class Estate:
    """The store, lease and key that a run's evidence uses outside its folder."""

    store: Any = field(default_factory=MemoryStore)
    lease: FakeLease = field(default_factory=lambda: FakeLease(FakeCloud(FakeClock()), 60))
    pem: str = field(default_factory=private_pem)

    @property
    def archive(self) -> Archive:
        return Archive(ENVIRONMENT, lambda: Signer(self.pem), self.store, self.lease)


@dataclass
class Run:
    """One closed run."""

    folder: Path
    estate: Estate

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL_FILE

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def rewrite(self, lines: list[dict[str, Any]]) -> None:
        """Write a whole new journal with a valid chain."""
        previous = "0" * 64
        for number, line in enumerate(lines, 1):
            line |= {"seq": number, "prev": previous}
            previous = line["hash"] = line_hash(line)
        self.journal.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def anchors(self) -> Anchors:
        """Return the anchors of the run in the lease and the store."""
        estate, name = self.estate, self.folder.name
        return Anchors(
            archive.anchored(estate.lease, name),
            copies(estate.store, ENVIRONMENT, name, JOURNAL_FILE),
            copies(estate.store, ENVIRONMENT, name, ENVELOPE_FILE),
        )

    def examine(self, anchors: Anchors | None = None) -> list[Finding]:
        """Return every finding, by default with all anchors."""
        signer = Signer(self.estate.pem)
        return examine(
            self.folder, JOURNAL_FILE, self.anchors() if anchors is None else anchors, lambda: signer.checker
        )

    def bad(self, anchors: Anchors | None = None) -> dict[str, str]:
        """Return the details of the bad findings by name."""
        return {finding.what: finding.detail for finding in self.examine(anchors) if finding.outcome is Outcome.BAD}

    def unchecked(self, anchors: Anchors | None = None) -> dict[str, str]:
        """Return the details of the findings that could not be checked, by name."""
        found = self.examine(anchors)
        return {finding.what: finding.detail for finding in found if finding.outcome is Outcome.UNCHECKED}


def make_run(
    reports: Path,
    estate: Estate,
    run_id: str = "20261122-120000-green-abcdef",
    gates: Sequence[Mapping[str, Any]] = GATES,
    opened: Mapping[str, Any] = NOTHING_MORE,
    destination: Archive | None = None,
    **closed: Any,
) -> Run:
    """Return a promoted run with seven journal lines, a page and a JUnit file; ``destination`` replaces the estate's archive."""
    folder = reports / run_id
    journal = Journal(folder / JOURNAL_FILE, "tester", FakeClock())
    known = {"deployment_id": run_id, "environment": ENVIRONMENT, "target": "green", "by": "tester", "mode": "deploy"}
    marks = {"framework": "1.1.0", "statement_version": SECOND_STATEMENT}
    journal.append("opened", **{**known, **marks, **opened})
    journal.append("manifest", checks={"health": 2, "live": 2}, **TESTED)
    journal.append("planned", target="green", image="api:1.1.0", digest="sha256:" + "a" * 64, version="1.1.0")
    journal.append("intent", step="lease")
    journal.append(
        "outcome", step="lease", outcome="passed", started_at="2026-11-22T11:59:00.000+00:00", duration_s=0.1
    )
    (folder / "report.html").write_text("<p>promoted")
    (folder / "junit.xml").write_text("<testsuites/>")
    finished = datetime(2026, 11, 22, 12, tzinfo=UTC).isoformat()
    ending = {"verdict": "promoted", "exit_code": 0, "reason": None, "finished_at": finished, **closed}
    archive.close(journal, folder, [("gates", {"gates": gates}), ("closed", ending)], destination or estate.archive)
    return Run(folder, estate)
