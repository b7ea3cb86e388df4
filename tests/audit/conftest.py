"""A run with valid evidence, which tests then change."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.audit.evidence import Estate, Run, make_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path / "reports", Estate())
