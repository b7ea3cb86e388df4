"""Signing in and out, and the validity of tokens, on both colours."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import redis

from tests.service.shapes import TOKEN, expect, expect_problem
from tests.service.support import Service
from tests.service.users import ALICE, BOB, SECRET, Person, SignedIn, log_in

NO_CONSULT = "00000000-0000-4000-8000-000000000000"
PROTECTED = [
    ("GET", "/consults"),
    ("POST", "/consults"),
    ("GET", f"/consults/{NO_CONSULT}"),
    ("DELETE", f"/consults/{NO_CONSULT}"),
    ("POST", "/auth/logout"),
]


def forge(key: str | None = SECRET, algorithm: str | None = "HS256", **changed: Any) -> str:
    """Return a token that is valid except for the changed claims; None removes a claim."""
    now = int(time.time())
    claims = {"sub": str(uuid.uuid4()), "iat": now, "exp": now + 600, "jti": str(uuid.uuid4()), **changed}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key or "", algorithm=algorithm or "none")


@pytest.mark.parametrize("person", [ALICE, BOB], ids=["alice", "bob"])
def test_both_seeded_users_sign_in(service: Service, person: Person) -> None:
    first, second = (
        expect(service.client.post("/auth/login", json=person.as_json()), 200, TOKEN)["access_token"] for _ in range(2)
    )
    claims = [jwt.decode(token, SECRET, algorithms=["HS256"]) for token in (first, second)]
    assert {"sub", "iat", "exp", "jti"} <= set(claims[0])
    assert claims[0]["sub"] == claims[1]["sub"]
    assert claims[0]["jti"] != claims[1]["jti"]


def test_email_is_the_same_in_any_case(service: Service) -> None:
    assert log_in(service, Person(ALICE.email.upper(), ALICE.password)).token


@pytest.mark.parametrize(
    "credentials",
    [
        {"email": ALICE.email, "password": "wrong"},
        {"email": ALICE.email, "password": BOB.password},
        {"email": ALICE.email, "password": ""},
        {"email": ALICE.email, "password": "\x00"},
        {"email": "nobody@example.com", "password": ALICE.password},
    ],
)
def test_wrong_credentials(service: Service, credentials: dict[str, str]) -> None:
    expect_problem(service.client.post("/auth/login", json=credentials), 401)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"email": "alice@example.com"}',
        b'{"email": "alice@example.com", "password": 7}',
        b'{"email": "not an address", "password": "x"}',
        b'{"email": "a\\u0000@example.com", "password": "x"}',
        b'{"email": "a\\ud800@example.com", "password": "x"}',
        b'{"email": "a@example.com", "password": "\\udfff"}',
        b'{"email": "a@example.com", "password": NaN}',
        b'{"email": "a@example.com", "password": "\xff"}',
        b"[" * 100_000,
        b'{"email": "a@example.com", "password": "x", "n": ' + b"9" * 5000 + b"}",
    ],
)
def test_malformed_login(service: Service, body: bytes) -> None:
    expect_problem(service.client.post("/auth/login", content=body), 422)


def test_a_refusal_does_not_repeat_the_password(service: Service) -> None:
    response = service.client.post("/auth/login", json={"email": "no address", "password": "canary-typed"})
    expect_problem(response, 422)
    assert "canary-typed" not in response.text


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_token(service: Service, method: str, path: str) -> None:
    expect_problem(service.client.request(method, path), 401)


FORGED: dict[str, Callable[[], str]] = {
    "no_header": lambda: "",
    "no_token": lambda: "Bearer",
    "basic": lambda: "Basic YTpi",
    "word": lambda: "Bearer x",
    "dots": lambda: "Bearer a.b.c",
    "not_ascii": lambda: "Bearer \xe9\xff",
    "other_key": lambda: "Bearer " + forge(key=SECRET[::-1]),
    "alg_none": lambda: "Bearer " + forge(key=None, algorithm=None),
    "other_algorithm": lambda: "Bearer " + forge(algorithm="HS512"),
    "expired": lambda: "Bearer " + forge(exp=int(time.time()) - 1),
    "endless": lambda: "Bearer " + forge(exp=None),
    "no_jti": lambda: "Bearer " + forge(jti=None),
    "no_sub": lambda: "Bearer " + forge(sub=None),
    "sub_not_ours": lambda: "Bearer " + forge(sub="not a uuid"),
    "cut": lambda: "Bearer " + forge()[:-4],
}


@pytest.mark.parametrize("kind", FORGED)
def test_bad_tokens(service: Service, kind: str) -> None:
    header = FORGED[kind]().encode("latin-1")
    for method, path in PROTECTED:
        expect_problem(service.client.request(method, path, headers=[(b"authorization", header)]), 401)


def test_a_valid_token_of_an_unknown_user_books_nothing(service: Service) -> None:
    ghost = SignedIn(service, forge())
    body = {"patient": "p", "reason": "r", "starts_at": "2030-01-01T10:00:00Z"}
    expect_problem(ghost.request("POST", "/consults", body), 401)


def test_a_token_of_one_colour_is_valid_on_the_other(alice: SignedIn, other: Service) -> None:
    assert alice.request("GET", "/consults", at=other).status_code == 200


def test_logout_revokes_only_this_token_on_both_colours(service: Service, other: Service) -> None:
    leaves, stays = log_in(service, ALICE), log_in(service, ALICE)
    response = leaves.request("POST", "/auth/logout")
    assert (response.status_code, response.content) == (204, b"")
    for colour in (service, other):
        expect_problem(leaves.request("GET", "/consults", at=colour), 401)
        expect_problem(leaves.request("POST", "/auth/logout", at=colour), 401)
        assert stays.request("GET", "/consults", at=colour).status_code == 200


def test_revocation_ends_with_the_token(service: Service, redis_port: int) -> None:
    with redis.Redis(port=redis_port) as client:
        before = set(client.scan_iter("telehealth:revoked:*"))
        subject = jwt.decode(log_in(service, ALICE).token, SECRET, algorithms=["HS256"])["sub"]
        short = SignedIn(service, forge(sub=subject, exp=int(time.time()) + 90))
        assert short.request("POST", "/auth/logout").status_code == 204
        (key,) = set(client.scan_iter("telehealth:revoked:*")) - before
        assert 0 < client.ttl(key) <= 91
