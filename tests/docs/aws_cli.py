"""The part of the AWS CLI that docs/roll-back-by-hand.md and docs/adopt.md use: options by botocore's service model, calls on loopback.

    python aws_cli.py SERVICE OPERATION [--option value …] [--query JMESPATH] [--output text]
    python aws_cli.py exports

It runs in a checkout and, unlike the real CLI, always calls the checkout's embedded environment. Like the real CLI, it refuses
options, types and operations that the service does not have.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, os.getcwd())

import botocore.session  # the path had to be set first
import jmespath  # type: ignore[import-untyped]  # ships no types
from botocore import xform_name

from infrastructure.aws.session import Connection, Credentials, clients_for
from infrastructure.embedded.outputs import Outputs, read

USAGE = 252  # the real CLI's exit code for arguments that it cannot parse
JSON_TYPES = ("list", "structure", "map")


def main(arguments: list[str]) -> int:
    """Call one operation and print its answer; return the exit code."""
    outputs = read(Path(".embedded") / "outputs.json")
    if outputs is None:
        raise SystemExit("no embedded environment is up in this folder")
    if arguments == ["exports"]:
        print(exports(outputs))
        return 0
    service, operation, *options = arguments
    model = botocore.session.Session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        raise SystemExit(USAGE)
    members = model.operation_model(names[operation]).input_shape.members
    parameters, query, output = parse(options, {xform_name(name, "-"): (name, members[name]) for name in members})
    answer = _clients(outputs).call(service, names[operation], **parameters)
    show({key: value for key, value in answer.items() if key != "ResponseMetadata"}, query, output)
    return 0


def parse(options: list[str], known: dict[str, tuple[str, Any]]) -> tuple[dict[str, Any], str | None, str]:
    """Return the operation's parameters, the query and the output format; exit with USAGE for an unknown option."""
    parameters: dict[str, Any] = {}
    own = {"query": "", "output": "json"}
    words = iter(options)
    for word in words:
        option = word.removeprefix("--")
        if option in own:
            own[option] = next(words)
        elif option in known and word.startswith("--"):
            name, shape = known[option]
            parameters[name] = True if shape.type_name == "boolean" else value(shape.type_name, next(words))
        else:
            print(f"unknown option: {word}", file=sys.stderr)
            raise SystemExit(USAGE)
    return parameters, own["query"] or None, own["output"]


def value(kind: str, text: str) -> Any:
    """Return an option's value, converted to its type; ``file://NAME`` is the text of a file."""
    if text.startswith("file://"):
        text = Path(text.removeprefix("file://")).read_text(encoding="utf-8")
    if kind in JSON_TYPES:
        return json.loads(text)
    return int(text) if kind in ("integer", "long") else text


def show(answer: dict[str, Any], query: str | None, output: str) -> None:
    """Print an answer as the real CLI does, for the output formats text and json."""
    found = jmespath.search(query, answer) if query else answer
    print(found if output == "text" else json.dumps(found, indent=4, default=str))


def exports(outputs: Outputs) -> str:
    """Return shell exports of the document's variables for this environment, with green as the colour to roll back to."""
    found = {
        "KVS": outputs.key_value_store_arn,
        "TABLE": outputs.lease_table,
        "SERVICE": outputs.services["green"],
        "LIVE": outputs.live_url,
        "SCHEME": outputs.colour_scheme,
        "BACK": "green",
        "AWAY": "blue",
    }
    return "\n".join(f"export {name}={shlex.quote(str(text))}" for name, text in found.items())


def _clients(outputs: Outputs) -> Any:
    keys = Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key)
    return clients_for(Connection(outputs.region, outputs.account_id, None, keys, outputs.endpoints))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
