"""``audit verify``: one exit code for evidence that does not hold, another for evidence that could not be checked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployment.errors import CloudUnreachable, DeploymentError, NoKey, Refused, SettingsError
from deployment.evidence.audit import Finding, Outcome
from deployment.evidence.journal import JOURNAL_FILE, Journal
from deployment.settings import load
from infrastructure import compose
from scripts.commands import audit
from tests.audit.evidence import Estate, make_run
from tests.checkout import SETTINGS_FILE
from tests.deployment.fakes import FakeClock

GOOD, BAD, UNCHECKED = (Finding("chain", outcome, "detail") for outcome in Outcome)


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object) -> None:
        raise Refused("no environment is up")

    monkeypatch.setattr(compose, "connect", connect)


@pytest.mark.parametrize(
    ("findings", "code", "sentence"),
    [
        ([GOOD, GOOD], 0, "the evidence holds"),
        ([GOOD, UNCHECKED], 6, "not all of the evidence could be checked"),
        ([UNCHECKED, BAD], 1, "THE EVIDENCE DOES NOT HOLD"),
        ([BAD], 1, "THE EVIDENCE DOES NOT HOLD"),
    ],
)
def test_exit_code_separates_forged_from_unchecked(
    findings: list[Finding],
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(audit, "examine", lambda *_: findings)
    assert audit.verify(load(SETTINGS_FILE), tmp_path) == code
    shown = capsys.readouterr()
    assert sentence in shown.out + shown.err


@pytest.mark.parametrize(
    "error", [Refused("no environment is up"), CloudUnreachable("no answer"), NoKey("the secret does not exist")]
)
def test_forgery_is_told_from_evidence_whose_key_is_missing(
    error: DeploymentError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def connect(*_: object) -> None:
        raise error

    monkeypatch.setattr(compose, "connect", connect)
    run = make_run(tmp_path, Estate())
    assert audit.verify(load(SETTINGS_FILE), run.folder) == 6
    shown = capsys.readouterr()
    assert f"not checked  signature          the key could not be read: {error.message}" in shown.out
    assert shown.err == "not all of the evidence could be checked; what was checked holds\n"
    (run.folder / "report.html").write_text("<p>all is well")
    assert audit.verify(load(SETTINGS_FILE), run.folder) == 1
    shown = capsys.readouterr()
    assert "BAD          report.html        was changed: it is not the signed content" in shown.out
    assert shown.err == "THE EVIDENCE DOES NOT HOLD: do not rely on this report\n"


def test_files_that_the_signature_does_not_cover_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "examine", lambda *_: [GOOD])
    for name in (JOURNAL_FILE, "report.html", "prober.log", "added/later.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    audit.verify(load(SETTINGS_FILE), tmp_path)
    assert "not covered by the signature: added/later.txt, prober.log" in capsys.readouterr().out


DEEP = [b"[" * 3_000_000, b'{"a":' * 500_000]


@pytest.mark.parametrize(
    "content",
    [*DEEP, *(line + b"\n" for line in DEEP), b"\xff", b"", b"[]\n", b'{"environment": []}'],
)
def test_any_first_line_is_read_without_a_traceback(content: bytes, tmp_path: Path) -> None:
    (tmp_path / JOURNAL_FILE).write_bytes(content)
    assert audit.environment_of(tmp_path) is None
    assert audit.verify(load(SETTINGS_FILE), tmp_path) == 1


def test_names_in_the_folder_cannot_look_like_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit, "examine", lambda *_: [Finding("report", Outcome.BAD, "contradicts: a\nb, \ud800")])
    for name in ("x\n  ok           signature          by the environment's key", os.fsdecode(b"\xff.txt"), "\x1b[2J"):
        (tmp_path / name).write_text("")
    (tmp_path / "linked").symlink_to("/etc")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "report.html").write_text("")
    assert audit.verify(load(SETTINGS_FILE), tmp_path) == 1
    found, others = capsys.readouterr().out.splitlines()[1:]
    assert found.endswith(r"contradicts: a\nb, \ud800")
    listed = r"\x1b[2J, dangling, linked, x\n  ok           signature          by the environment's key, \udcff.txt"
    assert others == f"  not covered by the signature: {listed}"


@pytest.mark.parametrize("named", ["nosuch", ["a"], "a\nb"])
def test_an_environment_that_only_the_journal_names_cannot_be_checked(
    named: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = {"deployment_id": "one", "environment": named, "mode": "unlock"}
    Journal(tmp_path / JOURNAL_FILE, "tester", FakeClock()).append("opened", **opened)
    assert audit.verify_named(SETTINGS_FILE, None, tmp_path) == 6
    assert "the journal names an unknown environment" in capsys.readouterr().out
    with pytest.raises(SettingsError, match="unknown environment 'nosuch'"):
        audit.verify_named(SETTINGS_FILE, "nosuch", tmp_path)


def test_a_pipe_in_place_of_the_journal_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / JOURNAL_FILE)
    assert audit.environment_of(tmp_path) is None
    assert audit.verify(load(SETTINGS_FILE), tmp_path) == 1


def test_the_newest_run_with_a_report_is_chosen(tmp_path: Path) -> None:
    """A command that writes a journal alone is not what a person means by the newest report."""
    for name, mode in (("20261129-100000-green-a", "deploy"), ("20261129-110000-retire-b", "retire")):
        (tmp_path / name).mkdir()
        (tmp_path / name / JOURNAL_FILE).write_text(f'{{"mode": "{mode}"}}\n')
    assert audit.choose(tmp_path, None).name == "20261129-100000-green-a"
    assert audit.choose(tmp_path, "20261129-110000-retire-b").name == "20261129-110000-retire-b"
