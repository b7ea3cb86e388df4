"""An environment on AWS from its settings: for each pair of platform and router the constructors accept the options."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path

import pytest

from deployment.errors import SettingsError
from deployment.model import Colour
from deployment.settings import Settings, load
from infrastructure.aws import adapters
from infrastructure.aws.cloudfront.router import SETTLING_S
from infrastructure.aws.session import Clients
from infrastructure.embedded.outputs import Outputs
from infrastructure.estate import adapters as estate_adapters
from infrastructure.estate import aws_estate

ACCOUNT, ELB = "123456789012", "arn:aws:elasticloadbalancing:us-east-1:123456789012"
HEAD = f"""
default_environment = "e"
[environments.e]
provider = "aws"
account = "{ACCOUNT}"
region = "us-east-1"
live_url = "https://api.example:8443"
services = {{ blue = "api-blue", green = "api-green" }}
lease_table = "locks"
smoke_users_secret = "smoke"
"""
ECS = f"""
platform = "ecs"
cluster = "main"
target_groups = {{ blue = "{ELB}:targetgroup/b/1a", green = "{ELB}:targetgroup/g/2b" }}
colour_urls = {{ blue = "https://b.example", green = "https://g.example" }}
"""
PAIRS = {
    ("apprunner", "cloudfront"): f"""
platform = "apprunner"
router = "cloudfront"
key_value_store_arn = "arn:aws:cloudfront::{ACCOUNT}:key-value-store/00000000-0000-0000-0000-000000000000"
""",
    ("ecs", "alb"): f'{ECS}router = "alb"\nlistener_arn = "{ELB}:listener/app/l/1a/2b"\n',
    ("ecs", "route53"): f"""{ECS}
router = "route53"
hosted_zone_id = "Z1"
set_identifiers = {{ blue = "b", green = "g" }}
resolvers = ["192.0.2.53"]
""",
}


def settings(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "deployment.toml"
    file.write_text(HEAD + text)
    return load(file)


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_constructors_accept_the_options_from_the_settings(
    tmp_path: Path, clients: Clients, pair: tuple[str, str]
) -> None:
    estate = aws_estate(settings(tmp_path, PAIRS[pair]))
    assert (estate.platform.name, estate.router.name) == pair
    adapters.platform(estate.platform.name)(clients, **estate.platform.options)
    adapters.router(estate.router.name)(clients, **estate.router.options)
    assert estate.platform.options["services"][Colour.BLUE] == "api-blue"


def test_web_acl_of_the_settings_reaches_the_platform(tmp_path: Path) -> None:
    pair = PAIRS["apprunner", "cloudfront"]
    acl = f"arn:aws:wafv2:us-east-1:{ACCOUNT}:regional/webacl/colours/1234abcd-12ab-34cd-56ef-1234567890ab"
    assert aws_estate(settings(tmp_path, f'{pair}web_acl_arn = "{acl}"\n')).platform.options["web_acl"] == acl
    assert aws_estate(settings(tmp_path, pair)).platform.options["web_acl"] is None
    with pytest.raises(SettingsError, match="web_acl_arn belongs to region eu-central-1"):
        aws_estate(settings(tmp_path, f'{pair}web_acl_arn = "{acl.replace("us-east-1", "eu-central-1")}"\n'))


def test_cloudfront_needs_time_to_settle_and_the_embedded_edge_does_not(tmp_path: Path, clients: Clients) -> None:
    aws = aws_estate(settings(tmp_path, PAIRS["apprunner", "cloudfront"]))
    assert adapters.router("cloudfront")(clients, **aws.router.options).settling_s == SETTLING_S > 0
    there = Outputs(
        **{one.name: one.default if one.default is not MISSING else "" for one in fields(Outputs)}  # type: ignore[arg-type]  # only keys matter
    )
    found = {**there.settings(), "services": {"blue": "b", "green": "g"}}
    _, router = estate_adapters(replace(settings(tmp_path, PAIRS["apprunner", "cloudfront"]), estate=found))
    assert adapters.router("cloudfront")(clients, **router.options).settling_s == 0


@pytest.mark.parametrize("place", ["", "[environments.e.deployment]\n"])
def test_no_file_shortens_the_time_to_settle(tmp_path: Path, place: str) -> None:
    text = f"{PAIRS['apprunner', 'cloudfront']}{place}settling_s = 0\n"
    with pytest.raises(SettingsError, match="settling_s"):
        settings(tmp_path, text)


def test_record_name_defaults_to_the_live_domain(tmp_path: Path) -> None:
    text = PAIRS["ecs", "route53"]
    assert aws_estate(settings(tmp_path, text)).router.options["record_name"] == "api.example"
    other = settings(tmp_path, text + 'record_name = "weighted.example"\n')
    assert aws_estate(other).router.options["record_name"] == "weighted.example"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            ACCOUNT,
            "210987654321",
            "belongs to account 210987654321, but the environment belongs to account 123456789012",
        ),
        ("us-east-1", "eu-west-1", "belongs to region eu-west-1, but the environment belongs to region us-east-1"),
    ],
)
def test_arns_of_another_account_or_region_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    """This includes the ARNs of one colour: otherwise half of a switch would happen in another account."""
    arn = f"{ELB}:targetgroup/g/2b"
    found = settings(tmp_path, PAIRS["ecs", "alb"].replace(arn, arn.replace(old, new)))
    with pytest.raises(SettingsError, match=f"target_groups.green {message}"):
        aws_estate(found)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="platform 'lambda'") as caught:
        adapters.platform("lambda")
    assert caught.value.hint == "Known: apprunner, ecs."
