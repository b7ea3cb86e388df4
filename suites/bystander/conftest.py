"""The bystander: the live colour, asked as its users ask it, while a candidate works on the same database and cache."""

import time

import httpx
import pytest

from verification.contract.expecting import expect

# Long enough for a connection that is being opened anew, or a garbage collection; too short for anybody to repair anything.
SECOND_TRY_AFTER_S = 0.5

STORED = (
    "to do: the candidate's migration or rows cannot be read by the live release: give it back what it reads by another "
    "migration, then deploy one that only adds"
)
KEPT = "to do: delete the keys that the candidate wrote to the cache; it needs keys of its own, or the old format"
REACHED = "to do: see whether the candidate takes the connections; lower its pool, or raise the server's limit"
CHANGED = "to do: somebody else changes the live colour; find out who, before anything is deployed"
ADVICE = {"version": CHANGED, "health": REACHED, "session": KEPT, "list": STORED, "write": STORED}


class Bystander:
    """Asks the live colour; each question raises AssertionError where the answer would harm a user."""

    def __init__(self, client, live, sign_in, new_consult):
        self._client, self._live, self._sign_in, self._new = client, live, sign_in, new_consult

    def _ask(self, method, path, status, **request):
        return expect(self._client.request(method, path, **request), status)

    def _listed(self, headers):
        return self._ask("GET", "/consults?limit=100", 200, headers=headers).json()["items"]

    def version(self):
        """It is still the release that was live when the deployment began."""
        found = self._ask("GET", "/health", 200).json().get("version")
        assert found == (self._live.version or found), f"version {found} answers, expected {self._live.version}"

    def health(self):
        """Health, database, Redis."""
        for path in ("/health", "/health/database", "/health/redis"):
            self._ask("GET", path, 200)

    def session(self):
        """Signing in, being signed in, signing out, being signed out."""
        headers = self._sign_in()
        self._ask("GET", "/consults?limit=1", 200, headers=headers)
        self._ask("POST", "/auth/logout", 204, headers=headers)
        self._ask("GET", "/consults?limit=1", 401, headers=headers)

    def list(self):
        """The whole first page, rows of the candidate's in it or not."""
        items = self._listed(self._sign_in())
        assert isinstance(items, list), f"GET /consults: items are {type(items).__name__}, expected a list"

    def write(self):
        """A consult is booked, read back as it was sent, listed, cancelled, and gone."""
        headers = self._sign_in()
        path = f"/consults/{self._ask('POST', '/consults', 201, json=self._new, headers=headers).json()['id']}"
        try:
            read = self._ask("GET", path, 200, headers=headers).json()
            wrong = [name for name in ("patient", "reason") if read.get(name) != self._new[name]]
            assert not wrong, f"GET {path}: {wrong[0]} is {read.get(wrong[0])!r}, expected {self._new[wrong[0]]!r}"
            assert read["id"] in [item["id"] for item in self._listed(headers)], f"GET /consults does not list {path}"
        finally:
            self._client.delete(path, headers=headers)
        self._ask("GET", path, 404, headers=headers)


@pytest.fixture
def bystander(live_client, live, sign_in, smoke_user, new_consult):
    """A function that asks one question of ADVICE; what fails is asked once more, in all its parts, before it counts as harm."""
    asked = Bystander(live_client, live, lambda: sign_in(smoke_user, on=live_client), new_consult)
    name = "live" if live.colour is None else f"live {live.colour} ({live.version})"

    def unharmed(question):
        try:
            getattr(asked, question)()
            return
        except (AssertionError, httpx.HTTPError, ValueError, LookupError, AttributeError, TypeError):
            time.sleep(SECOND_TRY_AFTER_S)
        try:
            getattr(asked, question)()
        except (AssertionError, httpx.HTTPError, ValueError, LookupError, AttributeError, TypeError) as error:
            told, _, again = str(error).partition("\n")
            harm = f"{name} is harmed: {told or type(error).__name__}, twice; {ADVICE[question]}"
            raise AssertionError(f"{harm}\n{again}".rstrip()) from None

    return unharmed
