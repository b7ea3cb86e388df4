"""Addresses in the settings: refused before anything is touched, and never quoted with a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.errors import Refused, SettingsError
from deployment.settings import address_problem, load
from plugins.options import check_url
from tests.deployment.test_settings_file import ALB, AWS, ECS, HEAD, RECORDS, ROUTE53, RULE

PASSWORD = "Hunter2secret"  # a canary
URL, SPACE = "must be a URL with scheme and host", "must not contain a space"
PORT = "must have a port from 1 to 65535"
ADDRESSES = {
    "port": ("https://api.example.com:99999", PORT),
    "port 0": ("https://api.example.com:0", PORT),
    "no port": ("https://api.example.com:", URL),
    "bracket": ("https://[x", URL),
    "IPv6": ("https://[1::2::3]", URL),
    "IPv4 in brackets": ("https://[192.0.2.1]", URL),
    "empty label": ("https://api..example.com", URL),
    "long label": (f"https://{'a' * 64}.example.com", URL),
    "other letters": ("https://b\u00fccher.example", URL),
    "backslash": ("https://api.example.com\\x", URL),
    "scheme": ("ftp://api.example.com", URL),
    "no host": ("https://", URL),
    "query": ("https://api.example.com?a=b", "must not contain a query or a fragment"),
    "fragment": ("https://api.example.com#", "must not contain a query or a fragment"),
    "space": ("https:// x", SPACE),
    "line break": ("https://api.example.com\n", SPACE),
    "control character": ("https://api.example.com\x1b", SPACE),
    "password": (f"https://gate:{PASSWORD}@blue.example.com", "must not contain a user name or a password"),
    "user": ("https://gate@blue.example.com", "must not contain a user name or a password"),
    "password with a slash": (f"https://gate:a/{PASSWORD}@blue.example.com", URL),
    "password in a query": (f"https://x.example?password={PASSWORD}", "must not contain a query or a fragment"),
}
REFUSED = pytest.mark.parametrize(("address", "problem"), ADDRESSES.values(), ids=ADDRESSES)
GOOD = [
    "https://api.example.com",
    "http://api.telehealth.localhost:8080",
    "https://[2001:db8::1]:8443",
    "https://192.0.2.1",
    "https://my_service.internal:65535",
    "https://xn--bcher-kva.example",
]


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\x1b", "\\u001b")
    return f'"{escaped}"'


def _refused(folder: Path, text: str, message: str) -> None:
    file = folder / "deployment.toml"
    file.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert message in caught.value.message
    assert PASSWORD not in str(caught.value)


@REFUSED
def test_live_url_is_checked(tmp_path: Path, address: str, problem: str) -> None:
    text = AWS.replace('"https://x.example"', _toml(address)) + ECS + ALB + RULE
    _refused(tmp_path, text, f":6: environments.e.live_url {problem}")


@REFUSED
def test_the_address_of_a_colour_is_checked(tmp_path: Path, address: str, problem: str) -> None:
    text = AWS + ECS.replace('"https://b.example:8443"', _toml(address)) + ALB + RULE
    _refused(tmp_path, text, f"environments.e.colour_urls.blue {problem}")


@REFUSED
def test_an_origin_is_checked(tmp_path: Path, address: str, problem: str) -> None:
    own = f"[gates.endpoints]\ncors_origins = [{_toml(address)}]\n"
    _refused(tmp_path, own + AWS + ECS + ALB + RULE, f":3: gates.endpoints.cors_origins.0 {problem}")


@REFUSED
def test_an_option_is_checked_in_the_same_way(address: str, problem: str) -> None:
    with pytest.raises(Refused, match="--base-url") as caught:
        check_url("--base-url", address)
    assert problem in caught.value.message
    assert PASSWORD not in str(caught.value)


def test_only_an_option_may_have_a_path(tmp_path: Path) -> None:
    check_url("--base-url", "https://api.example.com/v1/@scope")
    text = AWS.replace("https://x.example", "https://x.example/v1") + ECS + ALB + RULE
    _refused(tmp_path, text, "live_url must not contain a path")


@pytest.mark.parametrize("address", GOOD)
def test_a_good_address_is_accepted(tmp_path: Path, address: str) -> None:
    file = tmp_path / "deployment.toml"
    file.write_text(HEAD + AWS.replace("https://x.example", address) + ECS + ALB + RULE)
    assert load(file).estate["live_url"] == address
    assert address_problem(address) is None
    check_url("--base-url", address)


def test_a_password_says_what_to_do_instead(tmp_path: Path) -> None:
    text = AWS.replace("https://x.example", f"https://gate:{PASSWORD}@x.example") + ECS + ALB + RULE
    _refused(tmp_path, text, "requests in suites/service.yaml send credentials, as ${secret.NAME}")


@pytest.mark.parametrize(
    "resolver", ["999.1.1.1", "192.0.2.1:99999", "192.0.2.1:0", "[:::]", "[2001:db8::1]:70000", "192.0.2.1\n"]
)
def test_a_resolver_is_an_address(tmp_path: Path, resolver: str) -> None:
    text = AWS + ECS + ROUTE53 + RECORDS.replace('"192.0.2.1"', _toml(resolver))
    _refused(tmp_path, text, f"environments.e.resolvers.0 = {resolver!r} must be an IP address")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (AWS.replace('"123456789012"', '"123456789012\\n"') + ECS + ALB + RULE, "account = '123456789012\\n'"),
        (AWS + ECS + ALB + RULE.replace("/3c", "/3c\\n"), "listener_rule_arn = "),
        (AWS + ECS + ALB + RULE + 'rehearsal_hosts = { blue = "b.example\\n", green = "g.example" }\n', "rehearsal_hosts.blue"),
        ('[gates.load]\nlisten = "a..b:5557"\n' + AWS + ECS + ALB + RULE, "gates.load.listen = 'a..b:5557'"),
    ],
)  # fmt: skip
def test_a_text_ends_where_its_pattern_ends(tmp_path: Path, text: str, message: str) -> None:
    """In Python ``$`` also matches before a last line break; in JSON Schema it does not."""
    _refused(tmp_path, text, message)
