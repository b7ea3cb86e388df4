"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployment.files import PRIVATE, replace_file


def test_replacing_keeps_no_part_of_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    replace_file(path, "a long first content")
    replace_file(path, "short")
    assert path.read_text() == "short"
    assert list(tmp_path.iterdir()) == [path], "no temporary file is left"


def test_private_file_is_private_with_any_umask(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0)
    try:
        replace_file(path, "secret", mode=PRIVATE)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == PRIVATE


def test_default_rights_follow_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    before = os.umask(0o027)
    try:
        replace_file(path, "report")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640


def test_failed_replacement_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    replace_file(path, "old")

    def fail(_from: object, _to: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        replace_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_temporary_file_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.with_name(f".{path.name}-{os.getpid()}").write_text("left by a process of the same pid")
    replace_file(path, "new", mode=PRIVATE)
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == PRIVATE
