"""How tests ask `adopt` about the bakery: the request, clients with changed answers, and the parts that it named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from infrastructure.aws.session import Clients
from scripts.commands.adoption.adopt import Places, adopt
from scripts.commands.adoption.model import Given, Request
from tests.adoption.bakery import Bakery
from tests.aws.shapes import checked

ENVIRONMENT = "shop"

Change = Callable[[dict[str, Any]], None]


class Changed:
    """Clients whose answers to one operation a test changes; the changed answers fit botocore's model."""

    def __init__(self, clients: Clients, operation: str, change: Change) -> None:
        self._clients = clients
        self._operation = operation
        self._change = change

    def call(self, service: str, operation: str, /, **given: Any) -> Mapping[str, Any]:
        answer = dict(self._clients.call(service, operation, **given))
        if operation == self._operation:
            answer.pop("ResponseMetadata", None)
            self._change(answer)
            return checked(service, operation, given, answer)
        return answer


def report_of(
    clients: Clients,
    own: Bakery,
    settings: Path,
    capsys: pytest.CaptureFixture[str],
    change: Change,
) -> str:
    """Run adopt on changed answers about the first service; return what it printed."""

    def first_only(answer: dict[str, Any]) -> None:
        for service in answer["services"]:
            if service["serviceName"] == own.service:
                change(service)

    given = cast(Clients, Changed(clients, "DescribeServices", first_only))
    assert adopt(given, request(own), Places(settings)) == 1
    return capsys.readouterr().out


def request(own: Bakery, **given: Any) -> Request:
    environment = f"{ENVIRONMENT}{own.cluster.removeprefix('ex-bakery')}"  # moto is shared by the tests
    return Request(environment, own.service, own.cluster, "123456789012", "us-east-1", Given(**given))


def parts_of(shown: str) -> list[str]:
    """Return the named parts of the report, in order."""
    return re.findall(r"^  (\S(?:.*?\S)?)  +\S.*$", shown.split("# Terraform")[0], re.MULTILINE)
