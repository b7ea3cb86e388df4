"""The two smoke users of these tests, and their calls to the service."""

from dataclasses import dataclass

import httpx

from tests.service.support import Service

SECRET = "canary-signing-secret-long-enough-for-every-hmac-that-a-test-may-forge-with"
STARTS_AT = "2030-01-01T10:00:00Z"


@dataclass(frozen=True)
class Person:
    """A user who can sign in."""

    email: str
    password: str

    def as_json(self) -> dict[str, str]:
        """Return the credentials in the format of /auth/login and SEED_USERS."""
        return {"email": self.email, "password": self.password}


ALICE = Person("alice@example.com", "canary-password-of-alice")
BOB = Person("Bob@Example.com", "canary-pässword-of-bob")


@dataclass(frozen=True)
class SignedIn:
    """A signed-in user: the token, and requests with it."""

    service: Service
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Bearer {self.token}"}

    def request(self, method: str, path: str, json: object = None, at: Service | None = None) -> httpx.Response:
        """Send a request to this user's colour, or to `at`."""
        return (at or self.service).client.request(method, path, json=json, headers=self.headers)

    def book(self, reason: str = "a cough", at: Service | None = None, **more: object) -> dict[str, str]:
        """Book a consult and return the service's answer."""
        body = {"patient": "P. Atient", "reason": reason, "starts_at": STARTS_AT, **more}
        response = self.request("POST", "/consults", body, at)
        assert response.status_code == 201, response.text
        created: dict[str, str] = response.json()
        return created

    def clear(self) -> None:
        """Cancel all of the user's consults."""
        while items := self.request("GET", "/consults?limit=100").json()["items"]:
            for item in items:
                assert self.request("DELETE", f"/consults/{item['id']}").status_code == 204


def log_in(service: Service, person: Person) -> SignedIn:
    """Sign in and return the user with the token."""
    response = service.client.post("/auth/login", json=person.as_json())
    assert response.status_code == 200, response.text
    return SignedIn(service, response.json()["access_token"])
