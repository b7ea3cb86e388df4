"""The evidence of real runs: it verifies as they left it, and each kind of tampering is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployment.settings import load
from infrastructure.embedded.layout import Layout
from scripts.commands import audit
from tests.checkout import SETTINGS_FILE
from tests.e2e import killing
from tests.e2e.messages import messages
from tests.e2e.sandbox import CommandResult, Sandbox

QUICK = "quick"
CHECKED = ("chain", "closed", "head", "copy", "report", "signature", "verification.json", "audit.jsonl")


def verify(sandbox: Sandbox, *arguments: str) -> CommandResult:
    """Run ``audit verify`` on this sandbox's reports."""
    return sandbox.script("audit", "verify", *arguments, "--reports", str(sandbox.reports))


@contextmanager
def tampered(folder: Path, name: str, content: bytes | None) -> Iterator[None]:
    """Replace one file of a report while the block runs, or remove it if ``content`` is None; restore the report afterwards."""
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept)
    try:
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        yield
    finally:
        shutil.rmtree(folder)
        kept.rename(folder)


@pytest.mark.soak
def test_evidence_of_a_deployment_and_its_rollback(
    up_sandbox: Sandbox,
    fast_settings: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Both verify, the newest by default; then each kind of tampering is named, with exit code 1."""
    deployed = up_sandbox.wait(killing.deploy(up_sandbox, fast_settings, "--image-tag=1.1.0"))
    assert deployed.code == 0, deployed.output
    sent = messages(up_sandbox, deployed.facts["deployment_id"])
    assert [message["event"] for message in sent] == ["started", "promoted"]
    assert (sent[-1]["environment"], sent[-1]["digest"]) == (QUICK, deployed.facts["digest"])
    back = up_sandbox.undo("rollback", "--environment", QUICK)
    assert back.code == 0, back.output
    [undone] = messages(up_sandbox, back.facts["deployment_id"])
    assert (undone["event"], undone["target"]) == ("rolled back", "blue")
    assert undone["report"] == str(back.folder)
    first, newest = deployed.folder, back.folder
    assert first is not None
    assert newest is not None

    for folder, arguments in ((newest, ()), (first, (first.name,))):
        ran = verify(up_sandbox, *arguments)
        assert ran.code == 0, ran.output
        assert folder.name in ran.output
        lines = [line.split()[:2] for line in ran.output.splitlines() if line.startswith("  ")]
        assert [what for word, what in lines if what in CHECKED and word == "ok"] == list(CHECKED)
    unknown = verify(up_sandbox, "nonsense")
    assert unknown.code == 4
    assert newest.name in unknown.output

    _tamper(up_sandbox, first, newest, monkeypatch, capsys)

    secret = _signing_key(up_sandbox)
    texts = [path.read_text(errors="replace") for path in up_sandbox.reports.rglob("*") if path.is_file()]
    assert [text for text in (*texts, deployed.output, back.output) if secret in text] == []

    monkeypatch.setenv("EMBEDDED_STATE", str(tmp_path))
    code, output = _verified(first, capsys)
    assert code == 6
    assert "neither the lease nor the audit store was read: no embedded environment is up" in output
    assert "ok           chain" in output


def _tamper(
    sandbox: Sandbox, first: Path, newest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Try each kind of tampering, in this process: a new Python process for each would take a second to start."""
    monkeypatch.setenv("EMBEDDED_STATE", str(sandbox.state))
    journal = (first / "audit.jsonl").read_bytes()
    lines = journal.splitlines(keepends=True)
    page = (first / "report.html").read_bytes()
    foreign = (newest / "evidence.dsse.json").read_bytes()
    for name, content, words in (
        ("audit.jsonl", journal.replace(b"telehealth-api:1.1.0", b"telehealth-api:1.0.0", 1), "was changed"),
        ("audit.jsonl", b"".join(lines[:-3]), f"lines {len(lines) - 2} to {len(lines)} are missing"),
        ("audit.jsonl", b"".join([*lines[:3], *lines[4:]]), "line 4 of the journal was removed"),
        ("report.html", page.replace(b"PROMOTED", b"REJECTED", 1), "report.html        was changed"),
        ("evidence.dsse.json", foreign, "evidence.dsse.json is not the one in the audit store"),
        ("evidence.dsse.json", None, "evidence.dsse.json was removed"),
    ):
        with tampered(first, name, content):
            code, output = _verified(first, capsys)
        assert code == 1, (name, words, output)
        assert words in output
    assert _verified(first, capsys)[0] == 0


def _verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = audit.verify(load(SETTINGS_FILE, QUICK), folder)
    return code, capsys.readouterr().out


def _signing_key(sandbox: Sandbox) -> str:
    """Return the secret part of the environment's signing key."""
    passwords = json.loads(Layout(sandbox.state).secrets.read_text())
    return "".join(passwords["signing_key"].splitlines()[1:-1])
