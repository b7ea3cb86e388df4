"""docs/adopt.md: every command of the page runs, in its order, up to the first verified deployment and its rollback."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from deployment.settings import load
from infrastructure.embedded import cloud
from tests.adoption import embedded_bakery, endpoints, sweets
from tests.docs.checkout import Checkout, checkout
from tests.docs.documents import Block, document
from tests.docs.test_docs_commands import AWS_CLI, run_block
from tests.embedded_aws.harness import KVS_ARN, Endpoint

PAGE = document("docs/adopt.md")
TERRAFORM_CLI = Path(__file__).with_name("terraform_cli.py")
ECS = "embedded-ecs"


def short_times(copy: Checkout) -> str:
    """Return the tables of the embedded environment on ECS as those of the adopted one.

    The gates that measure times do not count: this test is about the estate, and a busy machine fails them.
    """
    text = (copy.folder / "deployment.toml").read_text(encoding="utf-8")
    own = text[text.index(f"[environments.{ECS}.deployment]") : text.index("# An environment on AWS.")]
    own = own.replace(ECS, "bakery").replace("bake = 10\n", "bake = 1\n").replace("duration = 6\n", "duration = 1\n")
    own = re.sub(
        r"^(\[environments\.bakery\.gates\.(?:latency|load)\])$", r"\1\nrequired = false", own, flags=re.MULTILINE
    )
    return own.replace("samples = 60\n", "samples = 20\n").replace("longest = 60\n", "longest = 5\n")


def stand_ins() -> str:
    """Return the shell functions that take the place of the CLIs."""
    python = shlex.quote(sys.executable)
    commands = {"aws": AWS_CLI, "terraform": TERRAFORM_CLI}
    return "".join(f'{name}() {{ {python} {shlex.quote(str(path))} "$@"; }}\n' for name, path in commands.items())


def blocks() -> list[Block]:
    """Return the commands for ECS."""
    return [block for block in PAGE.blocks() if block.language == "sh" and "app-runner" not in block.words]


@pytest.mark.soak
def test_every_command_of_the_page_does_what_it_says(terraform: Mapping[str, str]) -> None:
    with checkout() as copy:
        up = copy.bash(f"python scripts/deploy.py up --environment {ECS}")
        assert up.code == 0, up.output
        outputs = cloud.outputs(copy.folder / ".embedded")
        assert outputs is not None
        embedded_bakery.make(outputs, copy.folder)
        keys = outputs.credentials
        variables = {
            **{name: value for name, value in terraform.items() if name.startswith("TF_")},
            **endpoints.variables(outputs.endpoints, keys.access_key_id, keys.secret_access_key, copy.folder),
        }
        said = []
        for block in blocks():
            ran = copy.bash(stand_ins() + run_block(block, f"docs/adopt.md:{block.line}"), variables)
            assert ran.code == 0, ran.output[-6000:]
            said.append(ran.output)
            settings = copy.folder / "deployment.toml"
            text = settings.read_text(encoding="utf-8")
            if "[environments.bakery]" in text and "[environments.bakery.deployment]" not in text:
                settings.write_text(text + "\n" + short_times(copy), encoding="utf-8")
        assert "nothing is missing" in said[3]
        again = copy.bash(blocks()[3].text, variables)
        assert (again.code, "deployment.toml is up to date" in again.output) == (0, True), again.output
        reports = [json.loads(path.read_text(encoding="utf-8")) for path in copy.reports()]
        assert [(one["verdict"], one["version"]) for one in reports] == [
            ("promoted", "1.1.0"),
            ("rolled_back", "1.0.0"),
        ]


def command_for_app_runner() -> Block:
    """Return the command for App Runner."""
    (block,) = [block for block in PAGE.blocks() if "app-runner" in block.words]
    return block


@pytest.mark.soak
def test_the_command_for_app_runner_reads_a_foreign_estate(
    moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names what is missing, and nothing that is there; the test's services answer AWS's APIs on loopback."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name.upper().endswith("_PROXY")]:
        monkeypatch.delenv(name)  # the other team's clients read them
    with Endpoint(tmp_path / "endpoint", moto_url).running() as endpoint, checkout() as copy:
        distribution = sweets.made(endpoint, moto_url)
        at = {"apprunner": endpoint.url, "cloudfront-keyvaluestore": endpoint.url, "default": moto_url}
        block = command_for_app_runner()
        ran = copy.bash(
            run_block(block, f"docs/adopt.md:{block.line}"), endpoints.variables(at, "test", "test", copy.folder)
        )
        assert ran.code == 0, ran.output[-6000:]
        assert f"App Runner service {sweets.SERVICE} is blue, behind distribution {distribution}" in ran.output
        named = re.findall(r"^  (\w[\w ]*\w) {2,}\w", ran.output, re.MULTILINE)
        assert named == ["lock and evidence", "secrets", "immutable tags"]
        settings = load(copy.folder / "deployment.toml", "sweets").estate
        assert (settings["live_url"], settings["key_value_store_arn"]) == (f"https://{sweets.DOMAIN}", KVS_ARN)
        assert settings["ecr_repository"] == sweets.REPOSITORY
