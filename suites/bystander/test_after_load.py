"""After the candidate was under load: what it wrote, cached and keeps open has harmed nobody."""

import pytest

from suites.bystander.conftest import ADVICE


@pytest.mark.parametrize("question", ADVICE)
def test_live_is_well_after_the_load(loaded, bystander, question):
    """Live's own users notice nothing of a candidate that has worked."""
    bystander(question)
