"""Both colours as one check sees them: whoever is signed in on one, or has written through it, comes back on the other."""

from dataclasses import dataclass

import httpx
import pytest

OTHER = {"the candidate": "live", "live": "the candidate"}
BOTH_WAYS = [("live", "the candidate"), ("the candidate", "live")]
IDS = ["live to candidate", "candidate to live"]


@dataclass(frozen=True)
class Side:
    """One of the two: its name in messages, and its client."""

    name: str
    client: httpx.Client

    def reads(self, session, path="/consults?limit=100"):
        """The answer to a signed-in GET."""
        return self.client.get(path, headers=session)


@pytest.fixture
def sides(client, live_client):
    """Both, by name."""
    return {"the candidate": Side("the candidate", client), "live": Side("live", live_client)}


@pytest.fixture
def here(request, sides):
    """Where it begins; a check names it by its parameter."""
    return sides[request.param]


@pytest.fixture
def there(request, sides):
    """Where it goes on."""
    return sides[request.param]


@pytest.fixture
def session(sign_in, smoke_user, here):
    """Headers of a session that was opened on the one side, for this check alone."""
    return sign_in(smoke_user, on=here.client)
