"""``configure``: writes Terraform's outputs to the settings of one environment; nothing else in the file changes."""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Whitespace

from deployment.errors import Refused
from deployment.files import replace_file, require_regular
from deployment.settings import SCHEMA_FILE, load
from infrastructure.estate import aws_estate

KEYS = (
    "platform",
    "router",
    "account",
    "region",
    "live_url",
    "ecr_repository",
    "cluster",
    "services",
    "target_groups",
    "colour_urls",
    "rehearsal_hosts",
    "key_value_store_arn",
    "web_acl_arn",
    "listener_rule_arn",
    "hosted_zone_id",
    "record_name",
    "set_identifiers",
    "resolvers",
    "lease_table",
    "smoke_users_secret",
    "signing_key_secret",
    "signing_public_key_secret",
    "audit_bucket",
    "notifications_topic",
    "alarms",
    "route53_health_checks",
)
"""The settings that infrastructure/terraform outputs under the same name; a setting without an output is removed."""
CHOSEN = ("token_secret", "database_url_secret", "redis_url_secret")
"""Settings that Terraform outputs only for `checked_secrets`; without an output, a person's own setting stays."""

CHOSEN_INSTEAD = {"signing_key_secret": "signing_key_file", "audit_bucket": "audit_folder"}
"""A person's own setting, which stays, by the output that it replaces."""

_BOM = "\ufeff"
_NAME = re.compile(r"[A-Za-z0-9/_+=.@:-]+")
_SECRET = re.compile(r"PRIVATE KEY|://[^/@\s]*:[^/@\s]*@|\"password\"", re.IGNORECASE)
_HINT = "Pass the output of: terraform -chdir=infrastructure/terraform output -json"


def configure(settings_file: Path, environment: str, outputs: str, *, dry_run: bool) -> int:
    """Write the settings, or with ``dry_run`` show the changes; return 0. Raises Refused and leaves the file unchanged."""
    found = read(outputs, environment)
    try:
        require_regular(settings_file)
        before = settings_file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Refused(f"{settings_file} cannot be read: {error}") from None
    after = changed(before, environment, found)
    require_valid(after, settings_file, environment)
    if after == before:
        click.echo(f"{settings_file.name} is up to date")
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
    """Return the settings among Terraform's outputs.

    Raises Refused if the text is not Terraform's output, belongs to another environment, or contains a secret.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused("this is not JSON, so it is not the output of Terraform", hint=_HINT) from None
    if not isinstance(document, dict) or not all(isinstance(one, dict) and "value" in one for one in document.values()):
        raise Refused("this is JSON but not the output of Terraform, in which each output has a value", hint=_HINT)
    if not document:
        raise Refused("Terraform has no outputs: nothing was applied in this state", hint=_HINT)
    own = document.get("environment", {}).get("value")
    if own != environment:
        raise Refused(
            f"these are the outputs of environment {own!r}, not of {environment!r}"
            if own is not None
            else "these outputs name no environment: they are not those of infrastructure/terraform",
            hint="A state belongs to one environment: initialise Terraform with the backend file of this environment.",
        )
    known = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))["$defs"]["aws_environment"]["properties"]
    found = {
        key: document[key]
        for key in (*KEYS, *CHOSEN)
        if key in known and document.get(key, {}).get("value") is not None
    }
    for key, output in found.items():
        _refuse_secret(key, output)
    return {key: output["value"] for key, output in found.items()}


def changed(text: str, environment: str, values: Mapping[str, Any], removable: Sequence[str] = KEYS) -> str:
    """Return the file with these values in the environment's table; comments, order and everything else stay.

    Keys of ``removable`` that have no value are removed.
    """
    try:
        document = tomlkit.parse(text.removeprefix(_BOM))
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
    for key in removable:
        if key not in values and key in table:
            del table[key]
    with _before_next_table(table):
        for key, value in {"provider": "aws", **values}.items():
            # A signing key in a file, and an audit store in a folder, were chosen by the user and stay.
            if table.get(key) != value and CHOSEN_INSTEAD.get(key, "") not in table:
                table[key] = _item(value)
    return (_BOM if text.startswith(_BOM) else "") + tomlkit.dumps(document)


@contextmanager
def _before_next_table(table: Any) -> Iterator[None]:
    """Insert new keys before the blank line at the table's end, because a comment after it belongs to the next table."""
    body = getattr(table.value, "body", None)
    if body is None:  # a table in several parts of the file: tomlkit merges them into one without a body
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
    """Raise Refused, without showing the value, if an output is or contains a secret."""
    texts = list(_texts(output["value"]))
    named = key.endswith("_secret") and not all(_NAME.fullmatch(text) for text in texts)
    if output.get("sensitive") or named or any(_SECRET.search(text) for text in texts):
        raise Refused(
            f"output {key} is a secret: deployment.toml names secrets and never holds one; nothing was written",
            hint="Output the secret's ARN instead of its value.",
        )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def require_valid(text: str, settings_file: Path, environment: str) -> None:
    """Raise SettingsError if the deployer could not use the new settings."""
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / settings_file.name
        candidate.write_text(text, encoding="utf-8")
        aws_estate(load(candidate, environment))


def _replace(path: Path, text: str) -> None:
    """Replace the file and keep its permissions. Raises Refused if it cannot be written."""
    try:
        replace_file(path, text, mode=path.stat().st_mode & 0o777)
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error
