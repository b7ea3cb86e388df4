"""``deployment.toml``: read, validated against its JSON Schema, and reduced to one environment."""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import jsonschema

from deployment import access
from deployment.access import Access
from deployment.errors import SettingsError, abridged
from deployment.files import read_toml
from deployment.model import GateRule
from deployment.project import Project
from deployment.strategy import AT_ONCE

SCHEMA_FILE = Path(__file__).with_name("settings.schema.json")
DEFAULTS_FILE = Path(__file__).with_name("gates.toml")
NEVER = "never"
OF_EVERY_GATE = ("required", "min_checks", "checks_in_flight", "checks_per_second")
"""Keys that decide about a gate: a misspelt one would make it weaker."""
_NEARLY = 0.85
SERVICE_FILE = "suites/service.yaml"
# Keys of an earlier version, each with its place in the description of the service.
MOVED = {
    "repository": "repository",
    "contract": "contract",
    "gates.database.find": "stores.database.find",
    "gates.database.rows": "stores.database.rows",
    "gates.redis.revoked": "stores.redis.revoked",
    "gates.load.mix": "the weight of each journey",
}

_NAME = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_TABLE = re.compile(r"\s*\[([^\[\]]+)\]")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ADDRESS = re.compile(r"https?://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL)
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A name in ASCII letters or an IPv4 address, or an IPv6 address in brackets; and perhaps a port.
_HOST = re.compile(
    rf"(?P<name>{_LABEL}(\.{_LABEL})*\.?|\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\])(:(?P<port>[0-9]{{1,5}}))?"
)
_SHAPE = "must be a URL with scheme and host, such as https://api.example.com"
_LEAST_REQUESTS = 2
MOST_SHOWN = 100
"""So many mistakes are shown, one in a line."""
"""The prober's requests in the shortest bake: one more than the live gate needs, because one may begin before the bake."""


@dataclass(frozen=True)
class DeploymentLimits:
    """The ``[deployment]`` table.

    Values are in seconds, except ``prober_rate`` (requests a second), ``largest_answer`` (MB), ``confirmations`` and
    ``identity`` (answers), ``certificate_days``, and the texts.
    """

    strategy: str = AT_ONCE
    bake: float = 300
    provision_timeout: float = 1800
    promote_timeout: float = 120
    rollback_timeout: float = 300
    retire_timeout: float = 1500
    lease_ttl: float = 60
    prober_rate: float = 5
    prober_timeout: float = 10
    request_deadline: float = 30
    largest_answer: float = 16
    confirmations: int = 20
    identity: int = 140
    drain_window: float = 120
    retire_after: float | str = "never"
    evidence_max_age: float = 3600
    approval: str = "none"
    approval_timeout: float = 3600
    checklist: str = "recorded"
    scan_severity: str = "MEDIUM"
    scan_timeout: float = 600
    certificate_days: float = 14

    @property
    def approval_wait(self) -> float:
        """The longest time that a run waits for an approval: 0 if it needs none."""
        return self.approval_timeout if self.approval == "required" else 0


@dataclass(frozen=True)
class Settings:
    """One environment's settings, with its overrides applied.

    ``service_file`` describes the service. ``gates`` maps a gate's name to its table as written; ``estate`` holds the
    environment's own keys (provider, account, …). ``project`` is the folder of the settings' file: relative paths in
    them start there.
    """

    environment: str
    limits: DeploymentLimits
    gates: Mapping[str, Mapping[str, Any]]
    estate: Mapping[str, Any]
    access: Access = field(default_factory=Access)
    service_file: Path = Path(SERVICE_FILE)
    project: Project = field(kw_only=True)

    @property
    def provider(self) -> str:
        """``embedded`` or ``aws``."""
        return str(self.estate["provider"])

    @property
    def named_secrets(self) -> Mapping[str, str]:
        """Return where the secrets of ``${secret.NAME}`` are kept, by NAME."""
        return dict(self.estate.get("secrets", {}))

    @property
    def answers_name_colour(self) -> bool:
        """Return whether the router adds a header with the colour to each answer; the default platform's router does."""
        return self.estate.get("router", NAMES_COLOUR[0]) in NAMES_COLOUR

    def table(self, gate: str) -> Mapping[str, Any]:
        """Return a gate's limits: as written, and the defaults for the other keys. A gate of a project's own has no defaults."""
        return {**gate_defaults().get(gate, {}), **self.gates.get(gate, {})}

    def rule(self, gate: str) -> GateRule:
        """Return the rule of a gate. A gate that the settings do not name is required and needs at least one check."""
        table = self.gates.get(gate, {})
        return GateRule(gate, bool(table.get("required", True)), int(table.get("min_checks", 1)))


@cache
def gate_defaults() -> Mapping[str, Mapping[str, Any]]:
    """Return the default limits of the gates that every service has, by gate."""
    return tomllib.loads(DEFAULTS_FILE.read_text(encoding="utf-8"))


def load(path: Path, environment: str | None = None) -> Settings:
    """Read the settings of ``environment`` (None: the default one).

    Raises SettingsError, naming the key and the nearest known word.
    """
    document = _parse(path)
    refuse_impossible_pair(document, path.name)
    _refuse_moved(document, path.name)
    _validate(document, path)
    name = document["default_environment"] if environment is None else environment
    environments = document["environments"]
    if name not in environments:
        raise SettingsError(
            f"unknown environment {name!r} in {path.name}{_nearest(name, environments)}",
            hint=f"known environments: {', '.join(sorted(environments))}",
        )
    own = environments[name]
    limits = {**document.get("deployment", {}), **own.get("deployment", {})}
    gates = {gate: dict(table) for gate, table in document.get("gates", {}).items()}
    for gate, table in own.get("gates", {}).items():
        gates[gate] = {**gates.get(gate, {}), **table}
    found = DeploymentLimits(**limits)
    _refuse_unwatched_bake(found, path.name)
    return Settings(
        environment=name,
        service_file=path.parent / document.get("service", SERVICE_FILE),
        limits=found,
        gates=gates,
        estate={key: value for key, value in own.items() if key not in ("deployment", "gates", "access")},
        access=access.read(document, name),
        project=Project(path.parent),
    )


def _refuse_unwatched_bake(limits: DeploymentLimits, name: str) -> None:
    """Raise SettingsError if a bake may end before a request of the prober: a bake without a request rolls back."""
    least = _LEAST_REQUESTS / limits.prober_rate
    if limits.bake < least:
        raise SettingsError(
            f"{name}: deployment.bake = {limits.bake:g} is too short for deployment.prober_rate = {limits.prober_rate:g}: "
            f"the prober sends {_LEAST_REQUESTS} requests in {least:g} s",
            hint=f"Set bake to {least:g} or more, or a higher prober_rate.",
        )


def _parse(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path, _finite)
    except FileNotFoundError:
        raise SettingsError(
            f"{path} does not exist", hint="It must define environments and budgets; see docs/settings.md."
        ) from None
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:  # TOML's own errors, invalid UTF-8, nan or inf, and too many levels
        hint = "Texts need quotes, times are numbers of seconds, and a table occurs once; docs/settings.md describes every key."
        raise SettingsError(f"{path.name} is not TOML: {error}", hint=hint) from None


def _finite(text: str) -> float:
    """Refuse nan and inf, which TOML allows: nan compares false with every limit, so a bake of nan seconds would end at once."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not a finite number")
    return number


def _validate(document: Mapping[str, Any], path: Path) -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    problems = sorted(_leaves(_validator()(schema).iter_errors(document)), key=lambda e: list(map(str, e.path)))
    if problems:
        lines = _lines_of(path)
        listed = {tuple(one.absolute_path) for one in problems if one.validator == "enum"}
        # A value that must be one of several has a second problem: it is not the one that the alternatives begin with.
        shown = [one for one in problems if one.validator != "const" or tuple(one.absolute_path) not in listed]
        texts = [f"{path.name}{place}: {text}" for one in shown for place, text in _explain(one, lines)]
        raise _invalid(dict.fromkeys(map(abridged, texts)))
    if found := list(_misspelt(document, schema["$defs"])):
        lines = _lines_of(path)
        texts = [
            f"{path.name}{_place([*place, key], lines)}: {_unknown('.'.join(place), key, near)}"
            for place, key, near in found
        ]
        raise _invalid(map(abridged, texts))


def _invalid(problems: Iterable[str]) -> SettingsError:
    """Return the error that shows the first problems, one in a line."""
    lines = list(problems)
    more = [f"and {len(lines) - MOST_SHOWN:,} more"] if len(lines) > MOST_SHOWN else []
    return SettingsError("\n  ".join([*lines[:MOST_SHOWN], *more]), hint="docs/settings.md describes every key.")


@cache
def _validator() -> Any:
    """Return the validator of the settings.

    A count is a whole number without a point, because Python counts with nothing else. A pattern's ``$`` is the end of the text.
    """
    whole = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, one: type(one) is int)
    formats = jsonschema.FormatChecker(())
    formats.checks("address", raises=ValueError)(_require_address)
    formats.checks("resolver", raises=ValueError)(_require_resolver)
    make: Any = jsonschema.validators.extend  # without types of its own
    made = make(jsonschema.Draft202012Validator, {"pattern": _match}, type_checker=whole)
    return partial(made, format_checker=formats)


def _match(validator: Any, pattern: str, text: object, _: object) -> Iterator[jsonschema.ValidationError]:
    """Yield an error if a text does not match. Python's own ``$`` also matches before a last line break."""
    if validator.is_type(text, "string") and not re.search(re.sub(r"\$$", r"\\Z", pattern), str(text)):
        yield jsonschema.ValidationError(f"{text!r} does not match {pattern!r}")


def _require_address(text: object) -> bool:
    """Raise ValueError, with what is wrong, unless a text is an address without a path."""
    if isinstance(text, str) and (problem := address_problem(text)) is not None:
        raise ValueError(f" {problem}")
    return True


def _require_resolver(text: object) -> bool:
    """Raise ValueError, with what is expected, unless a text is an IP address, with or without a port."""
    found = _HOST.fullmatch(text) if isinstance(text, str) else None
    if isinstance(text, str) and not (found and _is_port(found["port"]) and _is_ip(found["v6"] or found["name"])):
        expected = "an IP address, or address and port, such as 192.0.2.1 or [2001:db8::1]:5353"
        raise ValueError(f" = {text!r} must be {expected}")
    return True


def address_problem(text: str, *, path: bool = False) -> str | None:
    """Return what is wrong with the address of a service, None if nothing is; it may have a ``path`` only if that says so.

    The text does not quote the address, which may hold a password.
    """
    if not text.isprintable() or " " in text:
        return "must not contain a space or a control character"
    parts = _ADDRESS.fullmatch(text)
    if parts is None:
        return _SHAPE
    if "@" in parts["host"]:
        return (
            "must not contain a user name or a password, because terminals and reports show it: "
            "requests in suites/service.yaml send credentials, as ${secret.NAME}"
        )
    host = _HOST.fullmatch(parts["host"])
    if host is None or (host["v6"] and not _is_ip(host["v6"])):
        return _SHAPE
    if not _is_port(host["port"]):
        return "must have a port from 1 to 65535, or none"
    if parts["rest"]:
        return "must not contain a query or a fragment"
    return "must not contain a path" if parts["path"] and not path else None


def _is_ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) < 65536


def _misspelt(
    document: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[tuple[Sequence[str], str, Sequence[str]]]:
    """Yield the keys of a project's own gates that are nearly one of every gate: the table, the key, the known key.

    Such a table may have any other key for the gate's checks.
    """
    framework = definitions["gates"]["properties"]
    tables = [([], document), *((["environments", name], own) for name, own in document["environments"].items())]
    for place, tables_of in tables:
        for gate, table in tables_of.get("gates", {}).items():
            for key in table if gate not in framework else ():
                near = difflib.get_close_matches(key, OF_EVERY_GATE, n=1, cutoff=_NEARLY)
                if near and key not in OF_EVERY_GATE:
                    yield [*place, "gates", gate], key, near


def _unknown(table: str, key: str, known: Any) -> str:
    return f"unknown key {key!r} in [{table}]{_nearest(key, known)}"


def _lines_of(path: Path) -> dict[tuple[str, ...], int]:
    """Return the first line of each table and each key of a TOML file, by the names that lead to it."""
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        if (header := _TABLE.match(line)) is not None:
            table = _names(header[1])
            lines.setdefault(table, number)
        elif (key := _KEY.match(line)) is not None:
            lines.setdefault((*table, *_names(key[1])), number)
    return lines


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(found.strip("\"'") for found in _NAME.findall(dotted))


def _place(path: Sequence[Any], lines: Mapping[tuple[str, ...], int]) -> str:
    """Return ``:5``, the line of the nearest key or table above; an empty text if there is none."""
    names = tuple(map(str, path))
    known = next((names[:length] for length in range(len(names), 0, -1) if names[:length] in lines), None)
    return "" if known is None else f":{lines[known]}"


def _refuse_moved(document: Mapping[str, Any], name: str) -> None:
    """Raise SettingsError for keys that now belong to the description of the service."""
    environments = document.get("environments")
    own = environments.items() if isinstance(environments, dict) else ()
    tables = [("", document), *((f"environments.{one}.", table) for one, table in own)]
    found = {f"{prefix}{key}": MOVED[key] for prefix, table in tables for key in MOVED if _holds(table, key.split("."))}
    if found:
        service = document.get("service", SERVICE_FILE)
        raise SettingsError(
            f"{name}: " + f"\n  {name}: ".join(f"{old} moved to {service}, as {new}" for old, new in found.items()),
            hint="Move each value to its new place and delete it here; docs/any-service.md describes the file.",
        )


def _holds(table: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(table, dict) or key not in table:
            return False
        table = table[key]
    return True


def _leaves(errors: Any) -> Iterator[jsonschema.ValidationError]:
    """Yield the specific errors: of a combination its inner errors, not the combination's own."""
    for error in errors:
        if error.context:
            yield from _leaves(error.context)
        else:
            yield error


def _explain(problem: jsonschema.ValidationError, lines: Mapping[tuple[str, ...], int]) -> Iterator[tuple[str, str]]:
    """Yield the line, as ``:5``, and the text of each mistake in this problem."""
    path = list(problem.absolute_path)
    where = ".".join(map(str, problem.absolute_path)) or "top level"
    schema = problem.schema if isinstance(problem.schema, Mapping) else {}
    if problem.validator == "additionalProperties":
        known = schema.get("properties", {})
        for key in cast("dict[str, Any]", problem.instance):
            if key not in known:
                yield _place([*path, key], lines), _unknown(where, key, known)
    elif problem.validator == "required":
        yield _place(path, lines), f"[{where}] {problem.message}"
    elif problem.validator == "format":
        yield _place(path, lines), f"{where}{problem.cause}"
    elif problem.validator == "not":  # a key that another platform or router has
        yield _place(path, lines), f"{where} is not allowed: {schema['description']}"
    else:
        text = f"{where} = {problem.instance!r} is not allowed: {problem.message}{_instead(problem)}"
        yield _place(path, lines), text


def _instead(problem: jsonschema.ValidationError) -> str:
    """Return what to write, if the user's intention is clear."""
    value = problem.instance
    if problem.validator == "enum":
        return _nearest(str(value), map(str, cast("list[Any]", problem.validator_value)))
    if problem.validator == "type" and isinstance(value, float) and value.is_integer():
        return f"; write {value:.0f}"
    if problem.validator != "type" or not isinstance(value, str):
        return ""
    if problem.validator_value in ("number", "integer"):
        if _NUMBER.fullmatch(value):
            return f"; write {value} without quotes"
        return "; times are numbers of seconds, of milliseconds if the name ends in _ms" if _NUMBER.match(value) else ""
    return f"; write {value.lower()} without quotes" if value.lower() in ("true", "false") else ""


def _nearest(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


# -- pairs of platform and router ----------------------------------------------------------------------------------------

IMPOSSIBLE: Mapping[tuple[str, str], str] = {
    ("apprunner", "route53"): (
        "App Runner answers 404 for an unknown host, and one custom domain cannot be on two services: "
        "a DNS record that moves from one service to the other takes the site down"
    ),
    ("apprunner", "alb"): (
        "a load balancer's targets are addresses in a VPC, and App Runner's public services have none; "
        "App Runner would also answer 404 for the live domain's host"
    ),
    ("ecs", "cloudfront"): (
        "the colours of ECS are behind load balancers, whose weights switch per request and within seconds: the switching "
        "function would be a second switch before that one (a plain distribution may be in front of the load balancer)"
    ),
}
NAMES_COLOUR = ("cloudfront",)
"""The routers whose answers name the colour in a header: CloudFront's function sets it.

A load balancer's rule can add no header by target group, and DNS adds none: behind them only the version in an answer says
which release gave it.
"""
INSTEAD: Mapping[str, str] = {"apprunner": 'router = "cloudfront"', "ecs": 'router = "alb" or "route53"'}


def refuse_impossible_pair(document: Mapping[str, Any], name: str) -> None:
    """Raise SettingsError if an environment pairs a platform with a router that cannot switch it.

    The document need not be valid yet: this error comes before any about the keys that the impossible router lacks.
    """
    environments = document.get("environments")
    for environment, own in environments.items() if isinstance(environments, Mapping) else ():
        if not isinstance(own, Mapping):
            continue
        pair = (str(own.get("platform")), str(own.get("router")))
        if pair in IMPOSSIBLE:
            raise SettingsError(
                f"{name}: environments.{environment}: platform {pair[0]!r} with router {pair[1]!r} cannot work: "
                f"{IMPOSSIBLE[pair]}",
                hint=f"With platform {pair[0]!r}, use {INSTEAD[pair[0]]}.",
            )
