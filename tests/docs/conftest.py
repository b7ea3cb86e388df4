"""A copy of the project, as a user has it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.checkout import Checkout, checkout


@pytest.fixture
def copy() -> Iterator[Checkout]:
    """A fresh copy of the project with short times."""
    with checkout() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Checkout:
    """An empty folder to run a script in that needs nothing of the project."""
    return Checkout(tmp_path)
