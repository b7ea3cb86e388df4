"""Users with the right credentials get in, and others do not."""

import time

import pytest

from verification.journeys.tokens import claims_of, header_of

# Clocks of two machines differ by less; AWS refuses requests from a machine whose clock differs more.
LARGEST_SKEW_S = 300


def _login(client, email, password):
    return client.post("/auth/login", json={"email": email, "password": password})


def test_right_credentials_get_a_token(client, contract, smoke_user, limits, measure):
    """The token is as documented: HS256, claims, issued now, valid for as long as it says, and no longer than `longest_token`."""
    response = _login(client, smoke_user.email, smoke_user.password)
    contract.check(response)
    assert response.status_code == 200, f"login with right credentials: status {response.status_code}, expected 200"
    told, token = response.json()["expires_in"], response.json()["access_token"]
    algorithm, claims = header_of(token).get("alg"), claims_of(token)
    assert algorithm == "HS256", f"the token's alg is {algorithm!r}, expected 'HS256'"
    missing = sorted({"sub", "iat", "exp", "jti"} - claims.keys())
    assert not missing, f"the token has no {', '.join(missing)}"
    issued, lifetime = claims["iat"] - time.time(), claims["exp"] - claims["iat"]
    measure("lifetime of a token", lifetime, limit=limits["longest_token"], unit="s")
    assert abs(issued) <= LARGEST_SKEW_S, f"iat is {issued:.0f} s from now, limit {LARGEST_SKEW_S} s"
    assert abs(lifetime - told) <= 1, f"exp is {lifetime} s after iat, and expires_in is {told} s"
    assert lifetime <= limits["longest_token"], f"a token lives {lifetime} s, limit {limits['longest_token']} s"


def test_each_login_is_its_own(sign_in, smoke_users):
    """Two logins have the same `sub` and different `jti`; another user has another `sub`."""
    first, second, other = (
        claims_of(sign_in(user)["Authorization"].removeprefix("Bearer "))
        for user in (smoke_users[0], smoke_users[0], smoke_users[1])
    )
    assert first["jti"] != second["jti"], "two logins have the same jti: revoking one revokes the other"
    assert first["sub"] == second["sub"], f"two logins of one user have sub {first['sub']} and {second['sub']}"
    assert first["sub"] != other["sub"], f"two users have the same sub, {first['sub']}"


# Few on purpose: a service may lock an account after a few failures.
@pytest.mark.parametrize("wrong", ["another", "one blank more", "empty"])
def test_wrong_password_is_refused(client, contract, smoke_user, wrong):
    """401 as the contract documents it, and no token."""
    passwords = {"another": "not-the-password", "one blank more": f"{smoke_user.password} ", "empty": ""}
    response = _login(client, smoke_user.email, passwords[wrong])
    # "" is a string, and a service may have a rule about its length.
    contract.refused(response, *((401, 422) if wrong == "empty" else (401,)))
    assert "access_token" not in response.text, f"login with a wrong password ({wrong}): 401, but the body has a token"


def test_unknown_user_is_refused(client, contract):
    """401 for a user who does not exist."""
    contract.refused(_login(client, "nobody@smoke.example", "whatever"), 401)


def test_a_token_opens_the_door(client, signed_in):
    """With a token a user can read their own consults."""
    response = client.get("/consults?limit=1", headers=signed_in)
    assert response.status_code == 200, f"GET /consults with a token: status {response.status_code}, expected 200"


def test_logout_ends_the_session(client, contract, sign_in, smoke_user, try_every_door):
    """204 once; from then on the revoked token opens nothing."""
    session = sign_in(smoke_user)
    response = client.post("/auth/logout", headers=session)
    contract.check(response)
    assert response.status_code == 204, f"POST /auth/logout: status {response.status_code}, expected 204"
    try_every_door("a token that was revoked", session)


def test_ending_one_session_leaves_the_others(client, sign_in, smoke_user):
    """Logout revokes that token and no other of the same user."""
    ended, other = sign_in(smoke_user), sign_in(smoke_user)
    client.post("/auth/logout", headers=ended)
    status = client.get("/consults?limit=1", headers=other).status_code
    assert status == 200, f"after the logout of another session of the same user: status {status}, expected 200"
    client.post("/auth/logout", headers=other)
