"""``pytest --base-url``: only the project's folder is needed, no environment, no AWS, and accounts only for what needs them."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import Refused
from deployment.evidence import attestation
from deployment.evidence.journal import read
from infrastructure import compose
from plugins.options import Mode, RunOptions, check_address_options
from tests.checkout import CHECKOUT
from tests.plugins.project import INI, ROOT
from tests.verification.shop_server import DESCRIPTION, USER, Shop
from tests.verification.token_server import CLIENT, OTHER, Servers, described
from verification.journeys import issuers

PASSWORD = USER["password"]
ACCOUNTS = [USER, USER]
DIGEST = f"sha256:{'0a' * 32}"
TOKEN = "canary-Token-7"
SETTINGS = """
default_environment = "production"
[deployment]
bake = 0.4
prober_rate = 50
[gates.health]
interval = 0.1
consecutive = 5
window = 0.1
identity = 3
[gates.latency]
samples = 20
warmup = 2
rate = 500
[gates.load]
users = 4
rate = 40
duration = 2
ramp = 4
min_requests = 20
failure_ratio = 0.5
throughput = 0.1
p95_ms = 5000
p99_ms = 5000
[environments.production]
provider = "embedded"
"""
CONFTEST = 'pytest_plugins = ("plugins.framework",)\n'
VERSIONED = DESCRIPTION.replace("version: none", "version: {header: X-Version}")


@dataclass
class Shopping:
    """A project for the shop, without an environment; ``run`` verifies the shop's address."""

    pytester: pytest.Pytester
    shop: Shop
    calls: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.pytester.path

    def accounts(self, content: str = json.dumps(ACCOUNTS), mode: int = 0o600) -> str:
        """Write a file of accounts, and return the option that names it."""
        file = self.path / "accounts.json"
        file.write_text(content)
        file.chmod(mode)
        return f"--accounts={file}"

    def run(self, *args: str, url: bool = True) -> tuple[int, str, dict[str, Any]]:
        """Return exit code, output and report; a password or a token is in none of them."""
        given = [f"--base-url={self.shop.url}"] if url else []
        result = self.pytester.runpytest_inprocess(*given, *args, no_reraise_ctrlc=True)
        output = result.stdout.str() + result.stderr.str()
        latest = self.path / "reports" / "latest"
        report = json.loads((latest / "verification.json").read_text()) if latest.exists() else {}
        for text in (output, *(file.read_text() for file in latest.glob("*") if file.is_file())):
            assert "canary" not in text
        assert self.calls == [], "no environment is asked or started"
        return int(result.ret), output, report

    def journal(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of the journal's lines of a kind."""
        records = read(self.path / "reports" / "latest" / "audit.jsonl")
        return [dict(record.data) for record in records if record.kind == kind]


@pytest.fixture
def shopping(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Shopping]:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("EMBEDDED_STATE", str(tmp_path / "nothing"))
    monkeypatch.delenv("SMOKE_USERS", raising=False)
    suites = pytester.mkdir("suites")
    (suites / "service.yaml").write_text(DESCRIPTION)
    (pytester.path / "pytest.ini").write_text(INI)
    (pytester.path / "conftest.py").write_text(CONFTEST)
    (pytester.path / "deployment.toml").write_text(SETTINGS)
    shutil.copy(CHECKOUT.checklist_file, pytester.path)
    shop = Shop()
    try:
        found = Shopping(pytester, shop)
        for name in ("connect", "start"):
            monkeypatch.setattr(compose, name, lambda *_, name=name: found.calls.append(name))
        yield found
    finally:
        shop.stop()
    assert not (tmp_path / "nothing").exists()


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {gate["name"]: gate["outcome"] for gate in report["gates"]}


def test_without_accounts_the_other_checks_run_and_the_run_is_partial(shopping: Shopping) -> None:
    code, output, report = shopping.run()
    assert (code, report["verdict"], report["partial"], report["reason"]) == (0, "verified", True, None), output
    found = outcomes(report)
    assert (found["health"], found["live"]) == ("passed", "incomplete")
    assert (found["auth"], found["endpoints"], found["latency"]) == ("not_run", "incomplete", "incomplete")
    counts = Counter(one["gate"] for one in report["not_asked"])
    assert counts["endpoints"] == 3, "order, keep a note and complain are played in a session"
    gates = {gate["name"]: gate for gate in report["gates"]}
    assert all(gate["checks"] - gate["ran"] == counts[name] for name, gate in gates.items() if name != "load")
    assert {one["reason"] for one in report["not_asked"]} == {
        "it needs an account; give --accounts FILE or the variable SMOKE_USERS"
    }
    assert "checks were not asked: auth (" in output
    assert "could not be asked" in (shopping.path / "reports" / "latest" / "report.html").read_text()
    assert shopping.shop.orders == {}
    records = list(read(shopping.path / "reports" / "latest" / "audit.jsonl"))
    statement = attestation.statement(records, {})["predicate"]
    assert (statement["result"], "endpoints" in statement["passedTests"]) == ("WARNED", False)


def test_a_failure_beside_checks_that_are_not_asked_fails(shopping: Shopping) -> None:
    shopping.shop.fail["/goods"] = 500
    code, output, report = shopping.run("suites/endpoints")
    assert (code, report["verdict"], outcomes(report)["endpoints"]) == (1, "failed", "failed"), output


def test_a_skipped_check_is_not_taken_for_one_that_cannot_be_asked(shopping: Shopping) -> None:
    folder = shopping.path / "suites" / "goods"
    folder.mkdir()
    (folder / "test_goods.py").write_text(
        "import pytest\ndef test_it(client):\n    client.get('/goods')\n    pytest.skip('not asked: it is late')\n"
    )
    code, output, report = shopping.run("suites/goods")
    assert (code, outcomes(report)["goods"]) == (1, "failed"), output


def test_only_checks_that_cannot_be_asked_are_no_pass(shopping: Shopping) -> None:
    code, output, report = shopping.run("suites/auth")
    assert (code, report["verdict"]) == (1, "failed"), output
    assert "it needs an account" in report["reason"]


def test_with_accounts_header_and_host_every_check_runs(shopping: Shopping) -> None:
    """The shop answers 503 to each request without the header."""
    shopping.shop.only_with = ("X-Release-Token", TOKEN)
    accounts = shopping.accounts()
    code, output, report = shopping.run(accounts, f"--header=X-Release-Token: {TOKEN}", "--host=shop.example:8443")
    assert (code, report["verdict"], report["partial"]) == (0, "verified", False), output
    assert "not_asked" not in report
    assert (outcomes(report)["auth"], outcomes(report)["endpoints"], outcomes(report)["live"]) == ("passed",) * 3
    assert shopping.shop.orders == {}, "what the checks wrote was removed"
    assert shopping.shop.hosts == {"shop.example:8443"}
    assert not (shopping.path / "reports" / "latest" / attestation.ENVELOPE_FILE).exists(), "there is no signing key"
    code, output, report = shopping.run(accounts, "--header=X-Release-Token: another", "suites/health")
    assert (code, report["verdict"]) == (1, "failed"), output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('where: {tag: "${marker}"}', 'where: {tga: "${marker}"}', "no entry is as `where` says"),
        ("items: $.orders", "items: $.oders", "the body has no $.oders"),
        ("request: GET /orders\n", "request: GET /order\n", "the body has no $.orders"),
    ],
)
def test_a_sweep_that_finds_nothing_is_a_warning(shopping: Shopping, old: str, new: str, words: str) -> None:
    """It is needed only after a killed run, when it is too late to correct it."""
    description = shopping.path / "suites" / "service.yaml"
    assert DESCRIPTION.count(old) == 1
    description.write_text(DESCRIPTION.replace(old, new))
    code, output, report = shopping.run(shopping.accounts(), "suites/endpoints")
    assert (code, outcomes(report)["endpoints"]) == (0, "passed"), output
    warning = "WARNING  endpoints: the sweep of journey order does not find what the journey wrote"
    assert f"{warning} ({words}" in output
    assert shopping.shop.orders == {}


def test_accounts_in_the_variable(shopping: Shopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_USERS", json.dumps(ACCOUNTS))
    code, output, report = shopping.run("suites/endpoints")
    assert (code, outcomes(report)["endpoints"]) == (0, "passed"), output


@pytest.mark.soak
def test_header_goes_with_the_load_and_to_workers(shopping: Shopping) -> None:
    shopping.shop.only_with = ("X-Release-Token", TOKEN)
    arguments = (shopping.accounts(), f"--header=X-Release-Token: {TOKEN}", "--host=shop.example")
    for more in ((), ("--load-workers=2", "-n", "2")):
        code, output, report = shopping.run(*arguments, "--load", *more)
        assert (code, report["verdict"], outcomes(report)["load"]) == (0, "verified", "passed"), output
        assert shopping.shop.hosts == {"shop.example"}


@pytest.mark.soak
def test_workers_leave_out_what_needs_an_account(shopping: Shopping) -> None:
    code, output, report = shopping.run("-n", "2", "--load")
    assert (code, report["verdict"], report["partial"]) == (0, "verified", True), output
    assert outcomes(report)["load"] == "passed", "a journey without a session makes the load"


def test_header_reaches_the_candidate_beside_the_live_release(shopping: Shopping) -> None:
    """One address, two releases: the header leads to the candidate, requests without it to the live release."""
    (shopping.path / "suites" / "service.yaml").write_text(VERSIONED)
    shopping.shop.version = "2.0.0"
    folder = shopping.path / "suites" / "sides"
    folder.mkdir()
    (folder / "test_sides.py").write_text(
        "def test_it(client, live_client):\n"
        "    assert client.get('/up').request.headers['x-release'] == 'candidate'\n"
        "    assert 'x-release' not in live_client.get('/up').request.headers\n"
    )
    route = ("--header=X-Release: candidate", "--expect-version=2.0.0", f"--live-url={shopping.shop.url}")
    code, output, _ = shopping.run(*route, "suites/sides")
    assert code == 0, output


@pytest.mark.parametrize(("version", "code"), [("2.0.0", 0), ("1.0.0", 1)])
def test_the_health_gate_compares_the_expected_version(shopping: Shopping, version: str, code: int) -> None:
    (shopping.path / "suites" / "service.yaml").write_text(VERSIONED)
    shopping.shop.version = version
    beside = Shop()
    try:
        live = f"--live-url={beside.url}"
        found, output, report = shopping.run("--expect-version=2.0.0", live, "suites/health")
    finally:
        beside.stop()
    assert (found, outcomes(report)["health"]) == (code, "passed" if code == 0 else "failed"), output
    assert code == 0 or "expected 2.0.0" in report["reason"]


def test_a_service_without_a_version_is_not_compared(shopping: Shopping) -> None:
    code, output, _ = shopping.run("--expect-version=2.0.0", "suites/health")
    assert code == 0, output
    assert "--expect-version was not compared" in output


def test_the_expected_digest_is_a_claim(shopping: Shopping) -> None:
    code, output, report = shopping.run(f"--expect-digest={DIGEST}", "suites/health")
    assert code == 0, output
    assert report["claimed"]["digest"] == DIGEST
    assert report["claimed"]["by"] == report["actor"]
    assert report["digest"] is None
    assert [one["digest"] for one in shopping.journal("claimed")] == [DIGEST]
    assert f"{DIGEST} is claimed by" in output
    records = list(read(shopping.path / "reports" / "latest" / "audit.jsonl"))
    assert attestation.statement(records, {})["subject"] == [], "the statement is about no image"


REFUSALS = {
    "accounts: others": (["--accounts=open.json"], ["mode 0644, expected 0600", "chmod 600"]),
    "accounts: not JSON": (["--accounts=torn.json"], ["torn.json is not JSON"]),
    "header": ([f"--header=Authorization {TOKEN}"], ["--header: a header must be 'NAME: VALUE'"]),
    "host": (["--host=http://h"], ["--host: 'http://h' must be a host"]),
    "live: no version": (["--live-url=http://h"], ["--live-url requires --expect-version"]),
    "load elsewhere": (["--load", "--header=X-A: 1"], ["cannot be sent to the load's workers on other machines"]),
    "a deployment": (["--target=green", "--base-url="], ["use only one of them"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refused(shopping: Shopping, case: str) -> None:
    for name, mode in (("open.json", 0o644), ("torn.json", 0o600)):
        (shopping.path / name).write_text(f'[{{"password": "{PASSWORD}"')
        (shopping.path / name).chmod(mode)
    arguments, words = REFUSALS[case]
    if case == "load elsewhere":
        settings = shopping.path / "deployment.toml"
        settings.write_text(SETTINGS.replace("[gates.load]", "[gates.load]\nworkers_elsewhere = 1"))
    code, output, report = shopping.run(*arguments)
    assert (code, report["verdict"]) == (4, "refused"), output
    assert all(word in output for word in words), output
    assert "Traceback" not in output
    assert shopping.shop.seen == []


def options(**given: Any) -> RunOptions:
    """Return the options of a verification of an address, unless ``given`` says otherwise."""
    defaults: dict[str, Any] = dict.fromkeys(("target", "image_tag", "environment", "live_url"))
    common = {"mode": Mode.VERIFY, "base_url": "http://h", "load": False, "reports": Path("r"), "partial": False}
    return RunOptions(**{**defaults, **common, **given})


OPTIONS: dict[str, Any] = {
    "--accounts": {"accounts": Path("a.json")},
    "--header": {"headers": ("X-A: 1",)},
    "--host": {"host": "h"},
    "--expect-version": {"expect_version": "1"},
    "--expect-digest": {"expect_digest": DIGEST},
}


@pytest.mark.parametrize("target", ["green", None], ids=["deployment", "live release"])
@pytest.mark.parametrize("option", OPTIONS)
def test_the_options_need_an_address(option: str, target: str | None) -> None:
    with pytest.raises(Refused, match=f"{option} requires --base-url"):
        check_address_options(options(base_url=None, target=target, **OPTIONS[option]))


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "version": ({"expect_version": " "}, "--expect-version must not be empty"),
    "digest: short": ({"expect_digest": "sha256:12"}, "is not a digest"),
    "digest: empty": ({"expect_digest": ""}, "is not a digest"),
    "digest: capitals": ({"expect_digest": DIGEST.upper()}, "is not a digest"),
    "live": ({"live_url": "http://l"}, "--live-url requires --expect-version"),
    "same address": ({"live_url": "http://h/", "expect_version": "1"}, "are the same address"),
    "header": ({"headers": ("X-A: 1", "x-a: 2")}, "--header: header x-a is given twice"),
    "host": ({"host": ""}, "--host: '' must be a host"),
    "accounts": ({"accounts": Path("nowhere.json")}, "nowhere.json cannot be read: No such file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_values(case: str) -> None:
    given, words = WRONG[case]
    with pytest.raises(Refused, match=words):
        check_address_options(options(**given))


def test_one_address_with_a_header_is_two_releases() -> None:
    given = {"live_url": "http://h", "expect_version": "1", "expect_digest": DIGEST, "headers": ("X-A: 1",)}
    check_address_options(options(**given))
    assert "X-A" not in repr(options(**given))


def test_the_variable_counts_only_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE_USERS", "[")
    assert options(base_url=None).users() == ()
    with pytest.raises(Refused, match="the variable SMOKE_USERS is not JSON"):
        options().users()


@pytest.fixture
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    issuers.forget()
    running.stop()


def ledger(
    shopping: Shopping, servers: Servers, *args: str, algorithm: str = "RS256"
) -> tuple[int, str, dict[str, Any]]:
    """Verify the service of the tokens: its auth gate, with two clients."""
    servers.algorithm = algorithm
    text = described(servers.token_url, f"token: {{format: jwt, algorithm: {algorithm}}}")
    (shopping.path / "suites" / "service.yaml").write_text(text)
    clients = [{"client_id": one.email, "client_secret": one.password} for one in (CLIENT, OTHER)]
    accounts = shopping.accounts(json.dumps(clients))
    return shopping.run(accounts, f"--base-url={servers.url}", "suites/service.yaml::auth", *args, url=False)


def test_the_auth_gate_with_tokens_of_another_host(shopping: Shopping, servers: Servers) -> None:
    """Each attempt that the gate cannot make is said in words, and no check of it counts as passed."""
    code, output, report = ledger(shopping, servers)
    assert code == 0, output
    gate = next(one for one in report["gates"] if one["name"] == "auth")
    assert (gate["outcome"], gate["checks"]) == ("passed", 4)  # signs in, closed, forged, private
    assert shopping.journal("warning") == [
        {"gate": "auth", "text": f"not tried: {text}"}
        for text in (
            "a wrong password of session machine: another host checks it, not the release",
            "a revoked session of session machine: suites/service.yaml describes no sign_out for it",
            "an expired token of session machine: it is signed with RS256, and the service's private key is not known",
        )
    ]
    page = (shopping.path / "reports" / "latest" / "report.html").read_text()
    for text in (output, page):
        assert "not tried: an expired token of session machine" in text
    assert len(servers.requests) == 2  # one for each client


def test_a_release_that_believes_every_token_fails(shopping: Shopping, servers: Servers) -> None:
    servers.believes = True
    code, output, _ = ledger(shopping, servers)
    assert code == 1, output
    assert "with a token without a signature" in output


def test_a_token_endpoint_that_fails_is_named(shopping: Shopping, servers: Servers) -> None:
    servers.status = 503
    code, output, report = ledger(shopping, servers)
    assert code == 1, output
    assert "issued no token: it answered with status 503. This is not an answer of the release" in report["reason"]
    assert servers.answered == servers.refused == 0
