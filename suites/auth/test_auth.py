"""Who may, gets in; who may not, does not."""

import time

import jwt
import pytest


def test_right_credentials_get_a_token(client, contract, smoke_user):
    """The token is as documented: type, lifetime, claims."""
    response = client.post("/auth/login", json={"email": smoke_user.email, "password": smoke_user.password})
    contract.check(response)
    assert response.status_code == 200, f"login with right credentials: status {response.status_code}"
    claims = jwt.decode(response.json()["access_token"], options={"verify_signature": False})
    assert {"sub", "iat", "exp", "jti"} <= claims.keys(), f"claims {sorted(claims)}"
    lifetime = claims["exp"] - time.time()
    assert abs(lifetime - response.json()["expires_in"]) < 60, "exp and expires_in disagree"


def test_wrong_password_is_refused(client, contract, smoke_user):
    """401, as the contract words it, and no token."""
    response = client.post("/auth/login", json={"email": smoke_user.email, "password": "not-the-password"})
    contract.check(response)
    assert response.status_code == 401, f"login with a wrong password: status {response.status_code}, expected 401"


def test_unknown_user_is_refused(client, contract):
    """401 for somebody who does not exist."""
    response = client.post("/auth/login", json={"email": "nobody@smoke.example", "password": "whatever"})
    contract.check(response)
    assert response.status_code == 401, f"login of an unknown user: status {response.status_code}, expected 401"


@pytest.mark.parametrize("path", ["/consults", "/consults/00000000-0000-4000-8000-000000000000"])
def test_closed_without_a_token(client, contract, path):
    """Consults are nobody's business without a token."""
    response = client.get(path)
    contract.check(response)
    assert response.status_code == 401, f"GET {path} without a token: status {response.status_code}, expected 401"


FORGED = jwt.encode({"sub": "1", "iat": 0, "exp": 4102444800, "jti": "x"}, "k" * 32, algorithm="HS256")
UNSIGNED = jwt.encode({"sub": "1", "iat": 0, "exp": 4102444800, "jti": "x"}, "", algorithm="none")


@pytest.mark.parametrize("token", ["not-a-token", FORGED, UNSIGNED], ids=["malformed", "forged", "unsigned"])
def test_bad_tokens_are_refused(client, contract, token):
    """Malformed, signed by somebody else, not signed at all."""
    response = client.get("/consults", headers={"Authorization": f"Bearer {token}"})
    contract.check(response)
    assert response.status_code == 401, f"status {response.status_code}, expected 401"


def test_a_token_opens_the_door(client, signed_in):
    """With a token, one's own consults can be read."""
    assert client.get("/consults?limit=1", headers=signed_in).status_code == 200


def test_another_users_records_stay_closed(client, sign_in, smoke_users, consult):
    """What one smoke user booked, the other can neither read nor delete nor find in the list."""
    other = sign_in(smoke_users[1])
    assert client.get(f"/consults/{consult['id']}", headers=other).status_code == 404
    assert client.delete(f"/consults/{consult['id']}", headers=other).status_code == 404
    listed = client.get("/consults?limit=100", headers=other).json()["items"]
    assert consult["id"] not in [item["id"] for item in listed]
    client.post("/auth/logout", headers=other)
