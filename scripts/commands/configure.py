"""``configure``: what Terraform made becomes the settings of one environment, and nothing else in the file changes."""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Whitespace

from deployment.errors import Refused
from deployment.files import replace_file
from deployment.settings import SCHEMA_FILE, load
from infrastructure.estate import aws_estate

KEYS = (
    "platform",
    "router",
    "account",
    "region",
    "live_url",
    "cluster",
    "services",
    "target_groups",
    "colour_urls",
    "rehearsal_hosts",
    "key_value_store_arn",
    "listener_rule_arn",
    "hosted_zone_id",
    "record_name",
    "set_identifiers",
    "resolvers",
    "lease_table",
    "smoke_users_secret",
    "signing_key_secret",
    "audit_bucket",
    "notifications_topic",
    "alarms",
    "route53_health_checks",
)
"""The settings that are outputs of infrastructure/terraform under the same name; one that it does not put out is taken away."""

_NAME = re.compile(r"[A-Za-z0-9/_+=.@:-]+")
_SECRET = re.compile(r"PRIVATE KEY|://[^/@\s]*:[^/@\s]*@|\"password\"", re.IGNORECASE)
_HINT = "Hand on what this prints: terraform -chdir=infrastructure/terraform output -json"


def configure(settings_file: Path, environment: str, outputs: str, *, dry_run: bool) -> int:
    """0: written, or nothing to write; with ``dry_run`` only told. Raises Refused, with the file as it was."""
    found = read(outputs, environment)
    try:
        before = settings_file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"{settings_file} cannot be read: {error}") from None
    after = changed(before, environment, found)
    _try_out(after, settings_file, environment)
    if after == before:
        click.echo(f"{settings_file.name} says all of it already")
        return 0
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="", n=1)
    click.echo("\n".join(lines))
    if dry_run:
        click.echo("nothing was written (--dry-run)")
        return 0
    _replace(settings_file, after)
    click.echo(f"written: [environments.{environment}] in {settings_file.name}")
    click.echo(f"next: python scripts/deploy.py status --environment {environment}")
    return 0


def read(text: str, environment: str) -> Mapping[str, Any]:
    """The settings among Terraform's outputs. Raises Refused where it is none of its output, another environment's, or a secret."""
    try:
        document = json.loads(text)
    except ValueError:
        raise Refused("this is no JSON, so no output of Terraform", hint=_HINT) from None
    if not isinstance(document, dict) or not all(isinstance(one, dict) and "value" in one for one in document.values()):
        raise Refused("this is JSON, but no output of Terraform: each output has a value", hint=_HINT)
    if not document:
        raise Refused("Terraform has no outputs: nothing has been applied in this state", hint=_HINT)
    own = document.get("environment", {}).get("value")
    if own != environment:
        raise Refused(
            f"these are the outputs of environment {own!r}, not of {environment!r}"
            if own is not None
            else "these outputs name no environment: they are not those of infrastructure/terraform",
            hint="A state belongs to one environment: initialise Terraform with that one's backend file.",
        )
    known = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]["aws_environment"]["properties"]
    found = {key: document[key] for key in KEYS if key in known and document.get(key, {}).get("value") is not None}
    for key, output in found.items():
        _refuse_secret(key, output)
    return {key: output["value"] for key, output in found.items()}


def changed(text: str, environment: str, values: Mapping[str, Any]) -> str:
    """The file with the environment's table holding these values; comments, order and everything else stay."""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise Refused(f"deployment.toml is not TOML: {error}") from None
    environments = document.get("environments")
    if not isinstance(environments, dict):
        raise Refused("deployment.toml has no table [environments]", hint="docs/settings.md describes the file.")
    if environment not in environments:
        environments[environment] = tomlkit.table()
    table = environments[environment]
    if table.get("provider", "aws") != "aws":
        raise Refused(f"environment {environment!r} of deployment.toml is not on AWS")
    for key in KEYS:
        if key not in values and key in table:
            del table[key]
    with _before_what_follows(table):
        for key, value in {"provider": "aws", **values}.items():
            # A key that is a file instead was somebody's choice.
            if table.get(key) != value and not (key == "signing_key_secret" and "signing_key_file" in table):
                table[key] = _item(value)
    return tomlkit.dumps(document)


@contextmanager
def _before_what_follows(table: Any) -> Iterator[None]:
    """New keys go before the blank line at a table's end: the comment behind that is the next table's."""
    body = getattr(table.value, "body", None)
    if body is None:  # tables of its own stand elsewhere in the file: tomlkit shows them as one, without a body
        yield
        return
    end = len(body)
    while end and body[end - 1][0] is None:
        end -= 1
    while end < len(body) and not isinstance(body[end][1], Whitespace):
        end += 1
    following = body[end:]
    del body[end:]
    try:
        yield
    finally:
        for _, item in following:
            table.add(item)


def _item(value: Any) -> Any:
    if not isinstance(value, dict):
        return tomlkit.item(value)
    pairs = (f"{key} = {tomlkit.item(inner).as_string()}" for key, inner in value.items())
    return tomlkit.value(f"{{ {', '.join(pairs)} }}")


def _refuse_secret(key: str, output: Mapping[str, Any]) -> None:
    """Raises Refused, without the value, where an output is none that may stand in a file that everybody reads."""
    texts = list(_texts(output["value"]))
    named = key.endswith("_secret") and not all(_NAME.fullmatch(text) for text in texts)
    if output.get("sensitive") or named or any(_SECRET.search(text) for text in texts):
        raise Refused(
            f"output {key} is a secret: deployment.toml names secrets and never holds one; nothing was written",
            hint="Put out the secret's ARN instead of its value.",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _try_out(text: str, settings_file: Path, environment: str) -> None:
    """Raises SettingsError where the deployer could not go by what is about to be written."""
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / settings_file.name
        candidate.write_text(text, encoding="utf-8")
        aws_estate(load(candidate, environment))


def _replace(path: Path, text: str) -> None:
    """Replace the file and keep its rights. Raises Refused if it cannot be written."""
    try:
        replace_file(path, text, mode=path.stat().st_mode & 0o777)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
