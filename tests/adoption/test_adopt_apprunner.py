"""``adopt`` on an App Runner service: its distribution, the key value store, the front door that is missing."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from deployment.errors import Refused
from deployment.settings import load
from infrastructure.aws.session import Clients
from infrastructure.estate import aws_estate
from scripts.commands.adoption import line
from scripts.commands.adoption.adopt import Places, adopt
from scripts.commands.adoption.model import Given, Request
from tests.adoption.app_runner import ARN, NAME, ORIGIN, STORE, AppRunner, distribution
from tests.adoption.fits import misfits
from tests.adoption.test_adopt_rights import statements
from tests.docs.documents import document
from tests.permissions.calls import action_of
from tests.terraform.stub import core


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return Path(shutil.copy(core.ROOT / "deployment.toml", tmp_path))


def run(cloud: AppRunner, settings: Path, service: str = NAME, **given: Any) -> int:
    request = Request("shop", service, None, "123456789012", "us-east-1", Given(**given))
    return adopt(cast(Clients, cloud), request, Places(settings))


def test_nothing_is_missing_and_the_settings_are_written(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = AppRunner()
    assert run(cloud, settings) == 0
    shown = capsys.readouterr().out
    assert "App Runner service storefront is blue, behind distribution E1" in shown
    assert "nothing is missing" in shown
    assert "storefront-green need not exist" in shown
    estate = aws_estate(load(settings, "shop"))
    assert (estate.platform.name, estate.router.name) == ("apprunner", "cloudfront")
    assert estate.router.options == {"key_value_store_arn": STORE}
    assert estate.live_url == "https://shop.bakery.example"
    assert {str(one): name for one, name in estate.platform.options["services"].items()} == {
        "blue": "storefront",
        "green": "storefront-green",
    }
    before = settings.read_bytes()
    assert run(AppRunner(), settings) == 0
    assert settings.read_bytes() == before


@pytest.mark.parametrize(("exists", "ended"), [(False, 1), (True, 0)])
def test_the_command_of_the_page_runs(
    exists: bool, ended: int, settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its exit code is the announced one while a part is missing; `make soak` runs it against a foreign estate."""
    (block,) = [one for one in document("docs/adopt.md").blocks() if "app-runner" in one.words]
    python, script, command, *options = shlex.split(block.text)
    assert (python, script, command) == ("python", "scripts/deploy.py", "adopt")
    cloud = AppRunner()
    cloud.exists = exists
    name = options[options.index("--app-runner-service") + 1]
    cloud.listed = [{"ServiceName": name, "ServiceArn": ARN, "Status": "RUNNING"}]
    monkeypatch.setattr("infrastructure.aws.session.clients_for", lambda _: cloud)
    tools = SimpleNamespace(project=lambda: SimpleNamespace(settings_file=settings))
    with pytest.raises(SystemExit) as left:
        line.adopt.main(options, obj=tools, standalone_mode=False)
    assert (left.value.code, block.options["exit"]) == (ended, "1")
    assert f"App Runner service {name} is blue" in capsys.readouterr().out
    assert load(settings, options[options.index("--environment") + 1]).estate["router"] == "cloudfront"


def test_the_calls_are_the_documented_ones() -> None:
    cloud = AppRunner()
    request = Request("shop", NAME, None, "123456789012", "us-east-1")
    with pytest.raises(Refused, match="cannot be read"):
        adopt(cast(Clients, cloud), request, Places(Path("/nowhere/deployment.toml")))
    made = {action_of(*one.split(":")) for one in cloud.calls}
    assert made == {action for name in ("Parts", "AppRunner") for action in statements()[name]["Action"]}


def without_distribution() -> AppRunner:
    cloud = AppRunner()
    cloud.distributions, cloud.exists = [distribution("E9", "elsewhere.example")], False
    return cloud


def test_the_call_of_a_front_door_is_printed(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = without_distribution()
    message = re.compile(r"no CloudFront distribution is in front of it.*--live-url", re.DOTALL)
    with pytest.raises(Refused, match=message):
        run(cloud, settings)
    assert run(cloud, settings, live_url="https://shop.bakery.example") == 1
    shown = capsys.readouterr().out
    assert "not written" in shown
    assert misfits(shown) == []
    assert re.search(rf'origins += {{ blue = "{ORIGIN}", green = "{ORIGIN}" }}', shown)


@pytest.mark.soak
def test_the_call_of_a_front_door_is_valid(
    settings: Path, terraform: Mapping[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(without_distribution(), settings, live_url="https://shop.bakery.example")
    shown = capsys.readouterr().out
    text = shown[shown.index("terraform {") : shown.index("not written")].rstrip() + "\n"
    tree = tmp_path / "source"
    shutil.copytree(core.TREE / "modules", tree / "modules")
    (tree / "main.tf").write_text(re.sub(r'"[^"]*/terraform/modules/', '"./modules/', text), encoding="utf-8")
    formed, begun, valid = core.workspace(tmp_path / "tree", terraform, tree).run(
        ("fmt", "-check", "-diff", "-no-color"), ("init", "-input=false", "-no-color"), ("validate", "-json")
    )
    assert (formed.code, begun.code) == (0, 0), formed.out + begun.err
    assert valid.document()["diagnostics"] == []


def without_function(cloud: AppRunner) -> None:
    cloud.distributions = [distribution("E1", function=False)]


def without_store(cloud: AppRunner) -> None:
    cloud.stores = []


def without_keys(cloud: AppRunner) -> None:
    cloud.keys = {}


def from_source(cloud: AppRunner) -> None:
    cloud.repository = None


def with_a_port_only(cloud: AppRunner) -> None:
    cloud.protocol = "TCP"


def paused(cloud: AppRunner) -> None:
    cloud.service = {"Status": "PAUSED"}


def private(cloud: AppRunner) -> None:
    cloud.service = {"NetworkConfiguration": {"IngressConfiguration": {"IsPubliclyAccessible": False}}}


def disabled(cloud: AppRunner) -> None:
    cloud.distributions = [distribution("E1") | {"Enabled": False}]


CHANGES: Mapping[str, tuple[Callable[[AppRunner], None], str]] = {
    "no function": (without_function, "distribution E1 has no viewer-request function with a key value store"),
    "no store": (without_store, "distribution E1 has no viewer-request function with a key value store"),
    "no keys": (without_keys, "the key value store does not say where traffic goes: .*active is missing"),
    "source code": (from_source, "built from source code"),
    "paused": (
        paused,
        "paused service +users get no answer.*\n.*aws apprunner resume-service --service-arn arn:aws:apprunner",
    ),
    "private": (private, "only a VPC reaches the service"),
    "disabled": (disabled, "distribution E1 answers no request"),
    "TCP": (with_a_port_only, "healthy as soon as its port listens"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_each_part_to_change_is_named(
    change: Callable[[AppRunner], None], message: str, settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = AppRunner()
    change(cloud)
    assert run(cloud, settings) == 1
    assert re.search(message, capsys.readouterr().out)


def test_several_distributions_need_a_choice(settings: Path) -> None:
    cloud = AppRunner()
    cloud.distributions = [distribution("E1"), distribution("E2")]
    with pytest.raises(Refused, match=re.compile(r"2 CloudFront distributions .*E1, E2.*--distribution ID", re.DOTALL)):
        run(cloud, settings)
    assert run(cloud, settings, distribution="E2") == 0
    with pytest.raises(Refused, match="no CloudFront distribution E3"):
        run(cloud, settings, distribution="E3")


def test_a_staging_distribution_and_a_pattern_are_no_live_domain(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A staging distribution has its primary one's origins; a request cannot name a pattern."""
    cloud = AppRunner()
    aliases = {"Quantity": 2, "Items": ["*.bakery.example", "shop.bakery.example"]}
    cloud.distributions = [distribution("E1") | {"Aliases": aliases}, distribution("E2") | {"Staging": True}]
    assert run(cloud, settings) == 0
    assert "behind distribution E1" in capsys.readouterr().out
    assert load(settings, "shop").estate["live_url"] == "https://shop.bakery.example"
    cloud.distributions = [distribution("E1") | {"Aliases": {"Quantity": 1, "Items": ["*.bakery.example"]}}]
    with pytest.raises(Refused, match="its distribution has no alias that is one domain"):
        run(cloud, settings)


def test_a_private_service_gets_no_front_door(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """App Runner gives it no domain that CloudFront could reach."""
    cloud = without_distribution()
    private(cloud)
    cloud.service["ServiceUrl"] = None
    assert run(cloud, settings, live_url="https://shop.bakery.example") == 1
    shown = capsys.readouterr().out
    assert "private service" in shown
    assert "a service that CloudFront reaches, then call adopt again" in shown
    assert 'module "front_door"' not in shown


def test_source_code_without_a_repository_names_no_image(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cloud = AppRunner()
    from_source(cloud)
    cloud.exists = False
    assert run(cloud, settings) == 1
    shown = capsys.readouterr().out
    assert "has no repository storefront; deployments take images" in shown
    cloud.repository = {"ImageIdentifier": "public.ecr.aws/a/b:1", "ImageRepositoryType": "ECR_PUBLIC"}
    assert run(cloud, settings) == 1
    assert "and the service runs the image public.ecr.aws/a/b:1;" in capsys.readouterr().out


@pytest.mark.parametrize("status", ["CREATE_FAILED", "DELETE_FAILED", "DELETED"])
def test_a_service_that_never_runs_is_refused(status: str, settings: Path) -> None:
    cloud = AppRunner()
    cloud.service = {"Status": status}
    with pytest.raises(Refused, match=f"storefront cannot answer: its status is {status}"):
        run(cloud, settings)


def test_a_deleted_service_of_the_same_name_is_not_meant(settings: Path) -> None:
    cloud = AppRunner()
    cloud.listed = [
        {"ServiceName": NAME, "ServiceArn": "arn:aws:apprunner:us-east-1:123456789012:service/old", "Status": "DELETED"}
    ]
    assert run(cloud, settings) == 0
    cloud.listed = [
        {
            "ServiceName": "gone",
            "ServiceArn": "arn:aws:apprunner:us-east-1:123456789012:service/gone",
            "Status": "DELETED",
        }
    ]
    with pytest.raises(Refused, match=re.compile(r"no service gone .*Its services: storefront\.", re.DOTALL)):
        run(cloud, settings, "gone")


def test_unknown_service_lists_the_known_ones(settings: Path) -> None:
    with pytest.raises(Refused, match=re.compile(r"no service nowhere .*Its services: storefront\.", re.DOTALL)):
        run(AppRunner(), settings, "nowhere")
