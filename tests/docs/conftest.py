"""A copy of the project, as a user has it."""

from collections.abc import Iterator

import pytest

from tests.docs.checkout import Checkout, checkout


@pytest.fixture
def copy() -> Iterator[Checkout]:
    """A fresh copy of the project with short times."""
    with checkout() as made:
        yield made
