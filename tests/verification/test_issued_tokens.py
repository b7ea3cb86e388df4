"""Sessions whose token comes from OAuth 2's client credentials or from a Cognito user pool, at real servers on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import httpx
import pytest

from infrastructure.front_door import HttpFrontDoor
from tests.verification.token_server import CLIENT, OTHER, Servers, described
from verification.declarative.service import InvalidService, load_service
from verification.http.client import Received
from verification.journeys import issuers
from verification.journeys.accounts import SmokeUser, parse_smoke_users
from verification.journeys.issuers import IssuedHeaders, Token, TokenNotIssued, TokenRequest, token_of, token_request
from verification.journeys.model import Issuer, Service, Session
from verification.journeys.placeholders import Values, provide_secrets, provided_secrets, secret_values
from verification.journeys.sessions import account_of, credentials, sign_in_request, without_request
from verification.journeys.tokens import claims_of
from verification.latency import asking
from verification.latency.asking import Asker, Unanswered
from verification.latency.plan import Kind, LatencyPlan
from verification.load.model import LoadFailed, LoadPlan
from verification.load.run import run_load
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober


@pytest.fixture
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    issuers.forget()
    running.stop()


def wait_until(condition: Callable[[], bool], deadline_s: float = 20) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"the condition was not true within {deadline_s} s"
        time.sleep(0.01)  # pause of a poll with a deadline


def service_at(tmp_path: Path, token_url: str, more: str = "") -> Service:
    path = tmp_path / "service.yaml"
    path.write_text(described(token_url, more), encoding="utf-8")
    return load_service(path, "suites/service.yaml")


def values_of(user: SmokeUser = CLIENT) -> Values:
    return Values(account_of(user), "marker")


def reads(servers: Servers, headers: Any) -> int:
    with httpx.Client(trust_env=False) as client:
        url = servers.url.replace("ledger.localhost", "127.0.0.1")
        return client.get(f"{url}/ledger", headers=dict(headers)).status_code


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_a_token_of_another_host(servers: Servers, tmp_path: Path, way: str) -> None:
    """One token is shared by all callers in a process; its secret is redacted, and the service accepts it."""
    service = service_at(tmp_path, servers.token_url, f"authentication: {way}\n    scope: read write")
    session = service.sessions["machine"]
    learned: list[str] = []
    found = without_request(session, values_of(), learned.append)
    again = without_request(session, values_of(), learned.append)
    assert found.headers is again.headers
    assert reads(servers, found.headers) == 200
    assert learned == [found.token]
    assert len(servers.requests) == 1
    assert servers.requests[0] == {
        **({"basic": "yes"} if way == "client_secret_basic" else {}),
        "grant_type": "client_credentials",
        "scope": "read write",
        "client_id": CLIENT.email,
        "client_secret": CLIENT.password,
    }
    assert reads(servers, without_request(session, values_of(OTHER)).headers) == 403
    assert (session.needs_account, session.checks_password) == (True, False)


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
def test_a_token_of_the_service_itself(servers: Servers, tmp_path: Path, way: str) -> None:
    """A path is a sign-in to the colour that is asked, so a failure of it is the release's own."""
    session = service_at(tmp_path, "/token", f"authentication: {way}").sessions["machine"]
    asked = sign_in_request(session, values_of())
    assert asked is not None
    with httpx.Client(trust_env=False, base_url=servers.url.replace("ledger.localhost", "127.0.0.1")) as client:
        answer = client.request(asked.method, asked.path, headers=dict(asked.headers), content=asked.body)
    found = credentials(session, asked, Received(answer))
    assert (reads(servers, found.headers), found.lasts_s) == (200, 3600)
    assert (session.issued_elsewhere, session.checks_password) == (False, True)


def test_a_token_is_renewed_before_it_ends(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers that a caller keeps change by themselves, and each token is redacted."""
    monkeypatch.setattr(issuers, "PAUSE_S", 0.01)
    servers.lifetime_s = 0.1
    session = service_at(tmp_path, servers.token_url).sessions["machine"]
    learned: list[str] = []
    found = without_request(session, values_of(), learned.append)
    wait_until(lambda: len(learned) > 2)
    assert found.token not in (None, found.headers["Authorization"].removeprefix("Bearer "))
    assert reads(servers, found.headers) == 200


def test_a_token_that_the_service_refuses_is_replaced(servers: Servers, tmp_path: Path) -> None:
    session = service_at(tmp_path, servers.token_url).sessions["machine"]
    headers = without_request(session, values_of()).headers
    servers.revoke()
    assert isinstance(headers, IssuedHeaders)
    headers.lost()
    wait_until(lambda: reads(servers, headers) == 200)


def test_a_failing_endpoint_is_named_and_shows_no_secret(servers: Servers, tmp_path: Path) -> None:
    """The endpoint's answer holds the request with its secret; the message holds its address and status."""
    servers.status = 503
    session = service_at(tmp_path, servers.token_url).sessions["machine"]
    with pytest.raises(TokenNotIssued) as caught:
        without_request(session, values_of())
    text = f"{caught.value!r} {caught.value} {caught.value.__cause__} {caught.value.__context__}"
    assert f"the token endpoint {servers.token_url} issued no token: it answered with status 503." in text
    assert "not an answer of the release" in text
    for secret in (CLIENT.password, "canary", quote_plus(CLIENT.password)):
        assert secret not in text
    assert "canary" not in repr(issuers.issued(session, values_of()))


def test_a_wrong_secret_is_named(servers: Servers, tmp_path: Path) -> None:
    session = service_at(tmp_path, servers.token_url).sessions["machine"]
    with pytest.raises(TokenNotIssued, match=r"status 401 \(invalid_client\)"):
        without_request(session, values_of(SmokeUser(CLIENT.email, "canary-wrong")))


def test_attempts_get_rarer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint may lock an account after a few wrong passwords."""

    def failing(request: TokenRequest) -> Token:
        raise TokenNotIssued("it answered with status 400")

    headers = IssuedHeaders(TokenRequest("https://login.example/token", {}, b""), failing)
    assert [headers._attempt() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    with pytest.raises(TokenNotIssued, match="status 400"):
        headers.wait()


def test_without_a_value_no_request_is_sent(tmp_path: Path, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT_SECRET", raising=False)
    session = service_at(tmp_path, servers.token_url, "client_secret: '${secret.ABSENT_SECRET}'").sessions["machine"]
    with pytest.raises(TokenNotIssued, match=r"session machine needs \$\{secret.ABSENT_SECRET\}"):
        without_request(session, values_of())
    assert servers.requests == []


# -- who uses it -----------------------------------------------------------------------------------------------------------


def test_the_examination_blames_no_colour(servers: Servers, tmp_path: Path) -> None:
    """A rollback examines the previous colour: a token endpoint that is down must not stop it."""
    service = service_at(tmp_path, servers.token_url)
    door = HttpFrontDoor(servers.url, CLIENT, service, timeout_s=5)
    assert door.examine() == []
    assert servers.answered == 1
    issuers.forget()
    servers.status = 500
    assert door.examine(every=True) == []
    assert (servers.answered, servers.refused) == (1, 0)


def test_latency_asks_with_a_token(servers: Servers, tmp_path: Path) -> None:
    """The token is there before the first timed request, and no operation of the plan is the token endpoint's."""
    service = service_at(tmp_path, servers.token_url)
    plan = LatencyPlan({"candidate": servers.url}, service, CLIENT)
    asker = Asker(servers.url, plan, None)
    asker.sign_in()
    assert len(servers.requests) == 1
    assert "sign in" not in " ".join(plan.operations)
    for operation in plan.operations.values():
        assert asker.ask(operation, "fresh") is not None
    asker.clear()
    assert (servers.refused, len(servers.requests)) == (0, 1)


@pytest.mark.parametrize(("kinds", "times"), [(("kept", "fresh"), 1), (("fresh", "kept"), 3)])
def test_latency_gets_another_token_after_a_401(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: tuple[Kind, Kind], times: int
) -> None:
    """The 401 itself is a failure, and the only one."""
    monkeypatch.setattr(issuers, "PAUSE_S", 0.02)
    monkeypatch.setattr(asking, "PAUSE_S", 0)
    plan = LatencyPlan({"candidate": servers.url}, service_at(tmp_path, servers.token_url), CLIENT)
    asker, operation = Asker(servers.url, plan, None), plan.operations["GET /ledger"]
    asker.sign_in()
    for number in range(1, times + 1):
        servers.revoke()
        with pytest.raises(Unanswered, match="401"):
            asker.ask(operation, kinds[0])
        assert [asker.ask(operation, kind) is not None for kind in kinds] == [True, True]
        assert (servers.refused, len(servers.requests)) == (number, 1 + number)
    asker.clear()


@pytest.mark.parametrize("status", [500, 401])
def test_latency_goes_on_if_no_other_token_is_issued(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(issuers, "PAUSE_S", 0.02)
    monkeypatch.setattr(asking, "PAUSE_S", 0)
    plan = LatencyPlan({"candidate": servers.url}, service_at(tmp_path, servers.token_url), CLIENT)
    asker, operation = Asker(servers.url, plan, None), plan.operations["GET /ledger"]
    asker.sign_in()
    servers.revoke()
    servers.status = status
    for _ in range(3):
        with pytest.raises(Unanswered, match="401"):
            asker.ask(operation, "kept")
    servers.status = 200
    headers = asker._sessions["machine"].headers
    wait_until(lambda: reads(servers, headers) == 200)
    assert asker.ask(operation, "kept") is not None
    asker.clear()


def test_the_prober_renews_its_token(servers: Servers, tmp_path: Path) -> None:
    """A run is longer than a token lives: no request fails, and none is sent to the token endpoint as a sample."""
    servers.lifetime_s = 1.25
    config = ProberConfig(servers.url, CLIENT, service_at(tmp_path, servers.token_url), rate=50)
    with Prober.start(config) as prober:
        wait_until(lambda: len(servers.requests) > 2)
        answered = servers.answered
        wait_until(lambda: servers.answered > answered + 5)
        assert prober.failures() == []
        assert {sample.operation for sample in prober.samples()} == {"GET /up", "GET /ledger"}
    assert servers.refused == 0


def test_the_prober_gets_the_secrets_of_the_environment(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go over the pipe of its configuration, as passwords do, and replace a variable of the same name."""
    monkeypatch.setenv("LEDGER_SECRET", "canary of another place")
    service = service_at(tmp_path, servers.token_url, "client_secret: '${secret.LEDGER_SECRET}'")
    provide_secrets({"LEDGER_SECRET": CLIENT.password})
    try:
        assert secret_values(service.variables) == (CLIENT.password,)
        with Prober.start(ProberConfig(servers.url, CLIENT, service, rate=50)) as prober:
            wait_until(lambda: servers.answered > 0)
            assert prober.failures() == []
        provide_secrets(provided_secrets(), unless_in=os.environ)
        assert secret_values(service.variables) == ("canary of another place",)
    finally:
        provide_secrets({})


def test_the_prober_counts_no_failure_of_the_endpoint(servers: Servers, tmp_path: Path) -> None:
    servers.status = 500
    log = tmp_path / "prober.log"
    config = ProberConfig(servers.url, CLIENT, service_at(tmp_path, servers.token_url), rate=50, stderr_log=str(log))
    with Prober.start(config) as prober:
        prober.wait_for_samples(40, 20)
        assert prober.failures() == []
        assert {sample.operation for sample in prober.samples()} == {"GET /up"}
    assert "issued no token: it answered with status 500" in log.read_text(encoding="utf-8")
    assert "canary" not in log.read_text(encoding="utf-8")
    assert servers.refused == 0


@pytest.mark.soak
def test_the_load_signs_in_beside_its_requests(servers: Servers, tmp_path: Path) -> None:
    plan = LoadPlan(servers.url, service_at(tmp_path, servers.token_url), (CLIENT,), users=4, rate=60, seconds=1.5)
    result = run_load(plan, log=tmp_path / "locust.log")
    assert (result.failures, {one.operation for one in result.by_operation}) == (0, {"GET /ledger"})
    assert (len(servers.requests), servers.refused) == (1, 0)


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 2])
def test_a_load_without_a_token_has_no_result(servers: Servers, tmp_path: Path, workers: int) -> None:
    servers.status = 500
    service = service_at(tmp_path, servers.token_url)
    plan = LoadPlan(servers.url, service, (CLIENT,), users=4, rate=60, seconds=1.5, workers=workers)
    with pytest.raises(LoadFailed, match="issued no token: it answered with status 500") as caught:
        run_load(plan, log=tmp_path / "locust.log")
    assert "canary" not in f"{caught.value} {(tmp_path / 'locust.log').read_text(encoding='utf-8')}"
    assert servers.refused == 0


# -- Cognito ---------------------------------------------------------------------------------------------------------------

POOL = """\
import json, sys
from moto.server import ThreadedMotoServer
import boto3
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://127.0.0.1:{port}"
pools = boto3.client("cognito-idp", "eu-central-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b")
pool = pools.create_user_pool(PoolName="users")["UserPool"]["Id"]
clients = {}
for secret in (False, True):
    made = pools.create_user_pool_client(
        UserPoolId=pool, ClientName="checks", GenerateSecret=secret, ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
    )["UserPoolClient"]
    clients["with" if secret else "without"] = [made["ClientId"], made.get("ClientSecret")]
for name in ("one", "new"):
    pools.admin_create_user(UserPoolId=pool, Username=name, TemporaryPassword="Canary-Pass1!")
pools.admin_set_user_password(UserPoolId=pool, Username="one", Password="Canary-Pass1!", Permanent=True)
print(json.dumps({"url": url, **clients}), flush=True)
sys.stdin.read()
server.stop()
"""
USER = SmokeUser("one", "Canary-Pass1!")


@pytest.fixture(scope="module")
def pool() -> Iterator[dict[str, Any]]:
    """Moto's user pool with a user, and one who must set a password first; in a process of its own, because it patches boto3."""
    with subprocess.Popen([sys.executable, "-c", POOL], stdin=-1, stdout=-1, stderr=-3, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        process.wait(30)
    issuers.forget()


def test_a_request_to_a_user_pool() -> None:
    """The call is not signed; with a secret the client proves itself by a keyed hash of user and client."""
    issuer = Issuer("https://cognito-idp.eu-central-1.amazonaws.com/", "app", "${account.password}", "none", use="id")
    request = token_request(Session("user", "cognito", issuer=issuer), values_of(SmokeUser("one", "key")))
    assert request.headers["X-Amz-Target"] == "AWSCognitoIdentityProviderService.InitiateAuth"
    assert json.loads(request.body) == {
        "AuthFlow": "USER_PASSWORD_AUTH",
        "ClientId": "app",
        "AuthParameters": {
            "USERNAME": "one",
            "PASSWORD": "key",
            "SECRET_HASH": "x+wc2/xRyTjAAcBut+ApkVPCRTiM9FKXL/DV4mMSNH4=",
        },
    }
    answer = {"AuthenticationResult": {"IdToken": "an-id", "AccessToken": "an-access", "ExpiresIn": 300}}
    assert token_of(request, 200, json.dumps(answer).encode()) == Token("an-id", 300)


@pytest.mark.soak
@pytest.mark.parametrize("client", ["with", "without"])
@pytest.mark.parametrize("use", ["access", "id"])
def test_cognito(pool: dict[str, Any], monkeypatch: pytest.MonkeyPatch, client: str, use: str) -> None:
    name, secret = pool[client]
    if secret is not None:
        monkeypatch.setenv("POOL_SECRET", secret)
    issuer = Issuer(pool["url"], name, None if secret is None else "${secret.POOL_SECRET}", "none", use=use)
    found = without_request(Session("user", "cognito", issuer=issuer), values_of(USER))
    assert found.token is not None
    assert claims_of(found.token)["token_use"] == use
    assert found.headers["Authorization"] == f"Bearer {found.token}"


@pytest.mark.soak
def test_cognito_refuses_a_wrong_password(pool: dict[str, Any]) -> None:
    session = Session("user", "cognito", issuer=Issuer(pool["url"], pool["without"][0], None, "none"))
    with pytest.raises(TokenNotIssued, match=r"status 400 \(NotAuthorizedException\)") as caught:
        without_request(session, values_of(SmokeUser("one", "Canary-wrong1!")))
    assert "anary-wrong" not in f"{caught.value!r}"


@pytest.mark.soak
def test_cognito_that_wants_another_step(pool: dict[str, Any]) -> None:
    session = Session("user", "cognito", issuer=Issuer(pool["url"], pool["without"][0], None, "none"))
    with pytest.raises(TokenNotIssued, match="it asks for NEW_PASSWORD_REQUIRED; the account must be able"):
        without_request(session, values_of(SmokeUser("new", "Canary-Pass1!")))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"access_token": 7}', b'{"access_token": "a\\nb"}', b"\xff", b"[" * 9000]
)
def test_an_answer_without_a_token(body: bytes) -> None:
    request = TokenRequest("https://login.example/token", {}, b"")
    with pytest.raises(TokenNotIssued, match="its answer has no access_token"):
        token_of(request, 200, body)


# -- the description -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("session", "message"),
    [
        ("{kind: oauth2-client-credentials}", "needs token_url: an absolute URL, or a path of the service"),
        ("{kind: oauth2-client-credentials, token_url: 'http://login.example/t'}", "must begin with https://"),
        ("{kind: oauth2-client-credentials, token_url: 'https://a:b@login.example/t'}", "must not hold a user name"),
        ("{kind: oauth2-client-credentials, token_url: login}", '"login" is not allowed'),
        ("{kind: oauth2-client-credentials, token_url: /t, client_secret: hush}", "client_secret must be a placeholder"),
        ("{kind: oauth2-client-credentials, token_url: /t, client_id: '${id}'}", "${id} has no value here"),
        ("{kind: oauth2-client-credentials, token_url: /t, region: eu-central-1}", "region belongs to a session of kind cognito"),
        ("{kind: oauth2-client-credentials, token_url: /t, sign_in: {request: POST /t}}", "has no sign_in"),
        ("{kind: oauth2-client-credentials, token_url: /t, authentification: client_secret_post}", "did you mean 'authentication'?"),
        ("{kind: cognito, client_id: abc}", "needs either region (eu-central-1) or endpoint (an address)"),
        ("{kind: cognito, region: eu-central-1}", "needs client_id: the app client of the user pool"),
        ("{kind: cognito, region: europe, client_id: abc}", '"europe" is not allowed'),
        ("{kind: cognito, region: eu-central-1, client_id: abc, use: acess}", "did you mean 'access'?"),
        ("{kind: cognito, region: eu-central-1, client_id: abc, scope: read}", "scope belongs to a session of kind oauth2"),
        ("{kind: basic, client_id: abc}", "client_id belongs to a session of kind oauth2-client-credentials or cognito"),
    ],
)  # fmt: skip
def test_mistakes(tmp_path: Path, session: str, message: str) -> None:
    path = tmp_path / "service.yaml"
    text = described("/token")
    begin, end = text.index("  machine:"), text.index("journeys:")
    path.write_text(f"{text[:begin]}  machine: {session}\n{text[end:]}", encoding="utf-8")
    with pytest.raises(InvalidService) as caught:
        load_service(path, "suites/service.yaml")
    assert "suites/service.yaml:5" in str(caught.value)
    assert message in str(caught.value)


def test_accounts_may_be_clients() -> None:
    found = parse_smoke_users('[{"client_id": "machine", "client_secret": "canary-one"}]')
    assert found == (SmokeUser("machine", "canary-one"),)
    with pytest.raises(ValueError, match=r'entry 0 of .* is not \{"email", "password"\}'):
        parse_smoke_users('[{"client_id": "machine", "password": "canary-one"}]')
