"""Fixtures with a copy of the project, as a user has it, and with an empty folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.checkout import Checkout, checkout


@pytest.fixture
def copy() -> Iterator[Checkout]:
    """Yield a new copy of the project with short times."""
    with checkout() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Checkout:
    """Return an empty folder, for a script that does not need the project."""
    return Checkout(tmp_path)
