"""The switch, rehearsed: what must be refused is refused behind the front door's headers, too."""


def test_refuses_as_it_should(front_client, contract):
    """What must be refused is refused there, too: nobody is trusted for coming by the front door."""
    contract.refused(front_client.get("/consults"), 401)
    contract.refused(front_client.post("/auth/login", json={"email": "nobody@smoke.example", "password": "x"}), 401)
    contract.refused(front_client.get("/no-such-path"), 404)
