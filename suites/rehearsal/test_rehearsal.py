"""The switch, rehearsed: requests that must be refused are also refused with the front door's headers."""


def test_refuses_as_it_should(front_client, contract):
    """The release refuses these requests also with the front door's headers: it trusts no request because of them."""
    contract.refused(front_client.get("/consults"), 401)
    contract.refused(front_client.post("/auth/login", json={"email": "nobody@smoke.example", "password": "x"}), 401)
    contract.refused(front_client.get("/no-such-path"), 404)
