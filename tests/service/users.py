"""The two smoke users of these tests, and how they call the service."""

from dataclasses import dataclass

import httpx

from tests.service.support import Service

SECRET = "canary-signing-secret-long-enough-for-every-hmac-that-a-test-may-forge-with"
STARTS_AT = "2030-01-01T10:00:00Z"


@dataclass(frozen=True)
class Person:
    """Who may sign in."""

    email: str
    password: str

    def as_json(self) -> dict[str, str]:
        """Credentials, as /auth/login and SEED_USERS take them."""
        return {"email": self.email, "password": self.password}


ALICE = Person("alice@example.com", "canary-password-of-alice")
BOB = Person("Bob@Example.com", "canary-pässword-of-bob")


@dataclass(frozen=True)
class SignedIn:
    """A user's token, and requests with it."""

    service: Service
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """The Authorization header."""
        return {"Authorization": f"Bearer {self.token}"}

    def request(self, method: str, path: str, json: object = None, at: Service | None = None) -> httpx.Response:
        """Ask this user's colour, or another one."""
        return (at or self.service).client.request(method, path, json=json, headers=self.headers)

    def book(self, reason: str = "a cough", at: Service | None = None, **more: object) -> dict[str, str]:
        """Book a consult; what the service answered."""
        body = {"patient": "P. Atient", "reason": reason, "starts_at": STARTS_AT, **more}
        response = self.request("POST", "/consults", body, at)
        assert response.status_code == 201, response.text
        created: dict[str, str] = response.json()
        return created

    def clear(self) -> None:
        """Cancel every consult."""
        while items := self.request("GET", "/consults?limit=100").json()["items"]:
            for item in items:
                assert self.request("DELETE", f"/consults/{item['id']}").status_code == 204


def log_in(service: Service, person: Person) -> SignedIn:
    """Sign in."""
    response = service.client.post("/auth/login", json=person.as_json())
    assert response.status_code == 200, response.text
    return SignedIn(service, response.json()["access_token"])
