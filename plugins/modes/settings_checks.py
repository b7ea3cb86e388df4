"""Checks of the settings before anything changes."""

from __future__ import annotations

import os
from dataclasses import replace
from urllib.parse import urlsplit

from deployment import strategy
from deployment.errors import Refused, SettingsError
from deployment.settings import Settings
from verification.http.route import DIRECT, Route
from verification.load.model import journeys_of


def with_strategy(settings: Settings, given: str | None) -> Settings:
    """Return the settings with the strategy of ``--strategy``, if given. Raises SettingsError if the strategy is invalid."""
    text = settings.limits.strategy if given is None else given
    strategy.parse(text)
    return replace(settings, limits=replace(settings.limits, strategy=text))


def shares_can_be_judged(settings: Settings) -> None:
    """Raise Refused if a strategy moves a share of the traffic, and no answer says which colour gave it."""
    from infrastructure.description import service_of  # as below

    chosen = strategy.parse(settings.limits.strategy)
    if not chosen.shifts or service_of(settings).health.version is not None or settings.answers_name_colour:
        return
    raise Refused(
        f"strategy {chosen.text!r} gives the candidate a share of the traffic, and nothing would say which answers are its "
        f"own: {settings.service_file.name} says `health.version: none`, and this environment's router adds no header with "
        "the colour",
        hint=f"Use --strategy={strategy.AT_ONCE}, or let the service name its version in the answer to its health check "
        "(`health.version: $.version`, or `{header: X-Version}`).",
    )


def load_is_possible(settings: Settings, workers: int | None) -> None:
    """Raise SettingsError if the load has more workers than users; ``--load-workers`` overrides the settings."""
    gate = settings.table("load")
    here, users = int(gate["workers"]) if workers is None else workers, int(gate["users"])
    elsewhere = int(gate["workers_elsewhere"])
    if here + elsewhere <= users:
        return
    given = f"--load-workers={here}" if workers is not None else f"gates.load.workers = {here}"
    more = f" and gates.load.workers_elsewhere = {elsewhere}" if elsewhere else ""
    raise SettingsError(
        f"{given}{more} must not exceed the users of the load: gates.load.users = {users}",
        hint="Each worker needs at least one user: use fewer workers, or more users in deployment.toml.",
    )


def load_has_journeys(settings: Settings) -> None:
    """Raise SettingsError if the load may play no journey of the description."""
    from infrastructure.description import service_of  # as below

    if not journeys_of(service_of(settings)):
        raise SettingsError(
            f"{settings.service_file.name}: the load may play none of the journeys: each has weight 0, or only writes without live: true",
            hint="Give a journey that may be played on the live service a weight above 0; docs/any-service.md describes the keys.",
        )


def load_can_use(route: Route, settings: Settings) -> None:
    """Raise Refused if headers or a host would have to be sent to the load's workers on other machines."""
    if route != DIRECT and int(settings.table("load")["workers_elsewhere"]):
        raise Refused(
            "--header and --host cannot be sent to the load's workers on other machines: their connection is not private",
            hint="Set gates.load.workers_elsewhere = 0, or omit --load.",
        )


def secrets_have_values(settings: Settings, *, of_environment: bool) -> None:
    """Raise Refused if a variable or secret of the description has no value; ``of_environment``: the run reads the settings' secrets."""
    from infrastructure.description import service_of  # as below
    from verification.declarative.demands import unusable

    named = settings.named_secrets if of_environment else {}
    for name in service_of(settings).variables:
        if (problem := unusable(name, os.environ, lambda _: None, named)) is not None:
            raise Refused(
                f"{settings.service_file.name}: ${{{name}}} {problem}",
                hint="docs/settings.md describes [environments.NAME.secrets].",
            )


def service_is_described(settings: Settings) -> None:
    """Raise SettingsError if ``suites/service.yaml`` or the contract that it names cannot be used."""
    from infrastructure.description import service_of  # its validators load slowly, and workers do not need them

    service_of(settings)


def coverage_is_possible(settings: Settings) -> None:
    """Raise SettingsError if ``cover`` of the gate endpoints names an answer that the contract does not document."""
    from infrastructure.description import contract_of  # see above
    from verification.contract.coverage import demanded, documented

    contract = contract_of(settings)  # kept: the file may change during the run
    patterns = settings.gates.get("endpoints", {}).get("cover", ())
    if not patterns:
        return
    if contract is None:
        raise SettingsError(
            "gates.endpoints.cover names answers of the contract, and suites/service.yaml names no contract",
            hint="Add `contract: FILE` to suites/service.yaml, or remove `cover`.",
        )
    try:
        demanded(documented(contract), patterns)
    except ValueError as error:
        raise SettingsError(
            f"gates.endpoints.cover: {error}", hint="`python scripts/deploy.py coverage` lists the documented answers."
        ) from None


def requests_are_documented(settings: Settings, base_url: str | None) -> None:
    """Raise SettingsError if no answer to the description, or to one of its journeys, would be compared with the contract."""
    from infrastructure.description import contract_of, service_of  # see above
    from verification.declarative.demands import undescribed

    contract, service = contract_of(settings), service_of(settings)
    if contract is None:
        return
    base = "" if base_url is None else urlsplit(base_url).path.rstrip("/")
    found = undescribed(service, contract.at(base_url), base)
    if found is not None:
        part, request = found
        raise SettingsError(
            f"{settings.service_file.name}: {service.contract} has no operation for any request of {part}, such as {request}",
            hint="Correct the requests, or `paths` and `servers` of the contract, so that answers are compared with it; if it leaves "
            "a request out on purpose, write `contract: false` into the expect of that request.",
        )
