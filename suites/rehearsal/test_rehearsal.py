"""The switch, rehearsed: the candidate is asked exactly as the front door will ask it, for the live domain."""

import pytest

from verification.contract.expecting import expect

PUBLIC = ("/health", "/health/database", "/health/redis")


@pytest.fixture
def ask(front_client, contract):
    """A function that asks as the front door does, and hands back an answer of that status, as the contract says."""

    def asked(method, path, status, **request):
        response = front_client.request(method, path, **request)
        host = response.request.headers.get("x-forwarded-host") or response.request.headers["host"]
        expect(response, status, f"{method} {path.partition('?')[0]} for the live domain ({host})")
        contract.check(response)
        return response

    return asked


@pytest.mark.parametrize("path", PUBLIC)
def test_answers_the_live_domain(ask, path):
    """200, as the contract says: no 404 or 421 for a host that it does not know, no redirect to its own name."""
    ask("GET", path, 200)


def test_serves_a_user_of_the_live_domain(front_client, ask, smoke_user, sign_in, new_consult):
    """Signs in, books, reads, lists, cancels and signs out, every request as the front door forwards it."""
    ask("POST", "/auth/login", 200, json={"email": smoke_user.email, "password": smoke_user.password})
    headers = sign_in(smoke_user, on=front_client)
    path = f"/consults/{ask('POST', '/consults', 201, headers=headers, json=new_consult).json()['id']}"
    try:
        ask("GET", path, 200, headers=headers)
        ask("GET", "/consults?limit=1", 200, headers=headers)
        ask("DELETE", path, 204, headers=headers)
    finally:
        front_client.delete(path, headers=headers)
    ask("POST", "/auth/logout", 204, headers=headers)


def test_refuses_as_it_should(front_client, contract):
    """What must be refused is refused there, too: nobody is trusted for coming by the front door."""
    contract.refused(front_client.get("/consults"), 401)
    contract.refused(front_client.post("/auth/login", json={"email": "nobody@smoke.example", "password": "x"}), 401)
    contract.refused(front_client.get("/no-such-path"), 404)
