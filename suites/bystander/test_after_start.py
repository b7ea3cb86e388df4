"""After the candidate's migrations and start-up, before anything is asked of it: live is as well as it was."""

import pytest

from suites.bystander.conftest import ADVICE


@pytest.mark.parametrize("question", ADVICE)
def test_live_is_well(bystander, question):
    """Live's own users notice nothing of a candidate that has migrated the database and come up."""
    bystander(question)
