"""Both colours for one check: a user signs in or writes on one colour, and continues on the other."""

from dataclasses import dataclass

import httpx
import pytest

OTHER = {"the candidate": "live", "live": "the candidate"}
BOTH_WAYS = [("live", "the candidate"), ("the candidate", "live")]
IDS = ["live to candidate", "candidate to live"]


@dataclass(frozen=True)
class Side:
    """One of the two colours: its name in messages, and its client."""

    name: str
    client: httpx.Client

    def reads(self, session, path="/consults?limit=100"):
        """Return the answer to a signed-in GET."""
        return self.client.get(path, headers=session)


@pytest.fixture
def sides(client, live_client):
    """Both colours by name."""
    return {"the candidate": Side("the candidate", client), "live": Side("live", live_client)}


@pytest.fixture
def here(request, sides):
    """The colour on which the user begins; the check's parameter names it."""
    return sides[request.param]


@pytest.fixture
def there(request, sides):
    """The colour on which the user continues; the check's parameter names it."""
    return sides[request.param]


@pytest.fixture
def session(sign_in, smoke_user, here):
    """Headers of a session that was opened on the first colour, for this check alone."""
    return sign_in(smoke_user, on=here.client)
