"""CORS and the rate limit are as configured: which web origins may call, and how often a user may."""

FOREIGN = "https://attacker.example"
# More requests than any check sends in a row; a service without a limit answers all of them.
UNLIMITED = 30


def _allowed(client, origin):
    """Return the headers of the answer to a preflight of POST /consults."""
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    return client.options("/consults", headers=asked).headers


def test_origins(client, limits):
    """Each of `cors_origins` may call, a foreign origin may not; without the setting, none with the user's credentials."""
    foreign = _allowed(client, FOREIGN)
    told = foreign.get("access-control-allow-origin")
    again = (
        f"curl -i -X OPTIONS -H 'Origin: {FOREIGN}' -H 'Access-Control-Request-Method: POST' {client.base_url}consults"
    )
    if limits["cors_origins"]:
        assert told not in (FOREIGN, "*"), f"Access-Control-Allow-Origin for {FOREIGN}: {told}, expected none\n{again}"
    credentials = foreign.get("access-control-allow-credentials", "").lower() == "true"
    assert not (told == FOREIGN and credentials), f"{FOREIGN} may call with the user's credentials\n{again}"
    for origin in limits["cors_origins"]:
        told = _allowed(client, origin).get("access-control-allow-origin")
        assert told in (origin, "*"), f"Access-Control-Allow-Origin for {origin}: {told}, expected {origin}"


def test_rate_limit(client, contract, sign_in, smoke_user, limits, measure):
    """Beyond `rate_limit` requests a minute of one token: 429, Retry-After, a problem; health is exempt. Without a limit: no 429."""
    limit, session = limits["rate_limit"], sign_in(smoke_user)
    answers = [client.get("/consults?limit=1", headers=session) for _ in range(limit + 1 if limit else UNLIMITED)]
    refused = [one for one in answers if one.status_code == 429]
    first = answers.index(refused[0]) + 1 if refused else None
    measure("first 429 at request", first or "none", limit=limit + 1 if limit else "none", samples=len(answers))
    if not limit:
        assert first is None, (
            f"request {first} of one token was answered 429, and gates.endpoints.rate_limit is 0 (none)"
        )
        return
    assert refused, (
        f"{len(answers)} requests of one token, none was answered 429; gates.endpoints.rate_limit is {limit}"
    )
    assert first is not None
    assert first > limit, f"request {first} of one token was answered 429, gates.endpoints.rate_limit is {limit}"
    contract.refused(refused[0], 429)
    after = refused[0].headers.get("retry-after", "")
    assert after.isdecimal(), f"429 with Retry-After {after or 'missing'}, expected seconds"
    assert client.get("/health").status_code == 200, "GET /health beyond the limit is refused, expected exempt"
