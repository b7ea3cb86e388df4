"""``coverage`` without a report's name: a folder whose journal cannot be read does not hide the newest report that has coverage."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.evidence.journal import JOURNAL_FILE, Journal
from scripts.commands.checks import coverage
from tests.deployment.fakes import FakeClock


@pytest.mark.parametrize("content", ["[" * 3_000_000, "{}"])
def test_folder_whose_journal_cannot_be_read_is_named_and_left_out(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = Journal(tmp_path / "20261129-100000-green-a" / JOURNAL_FILE, "tester", FakeClock())
    made.append("coverage", documented=["GET /notes 200"], met={})
    odd = tmp_path / "20261130-100000-green-b"
    odd.mkdir()
    (odd / JOURNAL_FILE).write_text(content + "\n")
    assert coverage.show(tmp_path, None, as_json=False) == 0
    shown = capsys.readouterr()
    assert "20261129-100000-green-a: 0 of 1 documented answers met" in shown.out
    assert "left out: 20261130-100000-green-b: " in shown.err
