"""Every number that the settings accept can be used: neither end of a range raises in the code that receives it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployment.clock import SystemClock
from deployment.errors import SettingsError
from deployment.flow.lease import LeaseKeeper
from deployment.model import Colour, Holder
from deployment.settings import NEVER, SCHEMA_FILE, Settings, gate_defaults, load
from infrastructure.aws.drain import DrainWindow
from infrastructure.aws.ecs.target_groups import TargetGroups
from infrastructure.description import service_of
from plugins import traffic
from plugins.declarative.ahead import IN_FLIGHT, PER_SECOND
from plugins.measurement import latency_plan, load_plan
from plugins.modes.settings_checks import load_is_possible
from plugins.stages import Check, Stage, samples
from plugins.state import Release
from plugins.traffic import CONTROL_SHARE, LEAST_CONTROL_RATE, TrafficMonitor, prober_config, watch_limits
from tests.checkout import CHECKOUT
from verification.http.answer_limits import AnswerLimits
from verification.http.client import open_client
from verification.http.pool import Pace
from verification.journeys.accounts import SmokeUser
from verification.latency.budget_watch import BudgetWatch
from verification.latency.judge import Judge
from verification.latency.plan import LatencyLimits
from verification.load.comparison import plans
from verification.load.model import LoadResult
from verification.load.processes import first_arguments
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober
from verification.watch.candidate_watch import Side
from verification.watch.sequential import at_least_by_chance

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
HEAD = f'default_environment = "e"\nservice = "{CHECKOUT.root}/suites/service.yaml"\n'
BODY = '[environments.e]\nprovider = "embedded"\n'
USER = SmokeUser("one@smoke.example", "canary-password-1")
GREEN, BLUE = Release("https://green.example"), Release("https://blue.example")
# What a value at the end of its range needs beside it, or the settings are refused before anything is touched.
BESIDE: dict[tuple[str, float], dict[str, float]] = {
    ("gates.load.workers", 64): {"gates.load.users": 64},
    ("gates.load.workers_elsewhere", 64): {"gates.load.users": 65},
    ("deployment.prober_rate", 0.1): {"deployment.bake": 20},
    ("deployment.bake", math.ulp(0.0)): {"deployment.prober_rate": 500, "deployment.bake": 0.004},
}
DECLARED = ("consecutive", "identity", "samples", "min_requests")
"""Settings by which checks declare their samples."""


def _resolved(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    return SCHEMA["$defs"][rule["$ref"].rpartition("/")[2]] if "$ref" in rule else rule


def _tables() -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "deployment", SCHEMA["$defs"]["deployment"]["properties"]
    gates = SCHEMA["$defs"]["gates"]
    for gate, rule in (*gates["properties"].items(), ("own", gates["additionalProperties"])):
        yield f"gates.{gate}", _resolved(rule)["properties"]


def _numbers() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every setting that is a number, with its rule."""
    for table, keys in _tables():
        for key, rule in keys.items():
            for one in (_resolved(rule), *map(_resolved, _resolved(rule).get("oneOf", ()))):
                if one.get("type") in ("number", "integer"):
                    yield f"{table}.{key}", one


def _ends(rule: Mapping[str, Any]) -> Iterator[float]:
    least = rule.get("minimum")
    yield math.nextafter(rule["exclusiveMinimum"], math.inf) if least is None else least
    yield rule["maximum"]


NUMBERS = dict(_numbers())
ENDS = [(name, end) for name, rule in NUMBERS.items() for end in _ends(rule)]


def _settings(folder: Path, values: Mapping[str, float]) -> Settings:
    tables: dict[str, list[str]] = {}
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        tables.setdefault(table, []).append(f"{key} = {value!r}\n")
    text = "".join(f"[{table}]\n{''.join(lines)}" for table, lines in tables.items())
    (folder / "deployment.toml").write_text(HEAD + text + BODY)
    return load(folder / "deployment.toml")


class NoProber:
    """A prober that has sent nothing."""

    problem = None

    def wait_for_samples(self, count: int, deadline_s: float) -> None:
        assert count > 0
        assert 0 < deadline_s < threading.TIMEOUT_MAX

    def samples(self, *_: float) -> list[Any]:
        return []

    samples_from = controls_from = controls = failures = samples


class NoRequests:
    """CloudWatch without a figure, for any time that a datetime can hold."""

    def call(self, _service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        if operation == "DescribeTargetGroups":
            return {"TargetGroups": [{"LoadBalancerArns": ["x:loadbalancer/app/x/1"]}]}
        return {"Attributes": [], "MetricDataResults": [], **parameters}


def _use_prober(settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = settings.limits
    config = replace(
        prober_config(settings, "https://live.example", [USER], folder),
        control_url=GREEN.url,
        control_rate=max(LEAST_CONTROL_RATE, CONTROL_SHARE * limits.prober_rate),
    )
    assert config.control is not None
    for one in (config, config.control, ProberConfig.from_line(replace(config, stderr_log=None).to_line())):
        assert one.max_in_flight > 0
        assert all(seconds > 0 for seconds in one.intervals().values())
        assert 1 / one.rate < threading.TIMEOUT_MAX
    monkeypatch.setattr(Prober, "start", lambda _: NoProber())
    monkeypatch.setattr(traffic, "BESIDE_WAIT_S", 0.0)  # there are no requests to wait for
    monitor = TrafficMonitor(config, watch_limits(settings.table("live")))
    monitor.warm_up()
    monitor.watch_live(colour="blue", generation=1, version="1")
    for share in (0.01, 1.0):
        monitor.watch_candidate(Side("green", "2"), Side("blue", "1"), generation=2, since=0.0, share=share)
    assert monitor.harm() is None
    assert monitor.both_failed(0.0) is None
    ratio = watch_limits(settings.table("live")).max_failure_ratio
    assert at_least_by_chance(1, 1, min(0.99, max(ratio, 1e-4))) > 0


def _use_deployment(settings: Settings) -> None:
    limits = settings.limits
    answers = AnswerLimits.of(limits.largest_answer, limits.request_deadline)
    assert answers.largest > 0
    with open_client("http://green.example", timeout_s=limits.prober_timeout, answers=answers):
        pass
    now, retired = SystemClock().now(), 0.0 if limits.retire_after == NEVER else float(limits.retire_after)
    for seconds in (limits.lease_ttl, limits.approval_timeout, limits.evidence_max_age, retired):
        assert now + timedelta(seconds=seconds) >= now
    assert now + timedelta(days=limits.certificate_days) >= now
    LeaseKeeper(None, Holder("a", "b", "c", 1, 0.0, now, now), limits.lease_ttl)  # type: ignore[arg-type]  # never started
    groups = TargetGroups(NoRequests(), {Colour.BLUE: "x:y"}, DrainWindow(limits.drain_window, SystemClock()))  # type: ignore[arg-type]  # its one method
    assert groups.recent_requests(Colour.BLUE) is None
    assert list(range(limits.identity))[:1] == list(range(limits.confirmations))[:1] == [0]


def _use_gates(settings: Settings) -> None:
    service = service_of(settings)
    for gate in (*gate_defaults(), "own"):
        table = settings.table(gate)
        assert settings.rule(gate).min_checks >= 1
        pace = Pace(int(table.get(IN_FLIGHT, 8)), float(table.get(PER_SECOND, 200)))
        assert pace._interval_s < threading.TIMEOUT_MAX
        with open_client("http://green.example", timeout_s=float(table.get("timeout", 10))):
            pass
        for name in DECLARED:
            if name in table:
                assert samples(Check("x", gate, Stage.HEALTH, name), table) == table[name]
    for name, rule in NUMBERS.items():
        value = settings.table(name.split(".")[1]).get(name.rpartition(".")[2]) if name.startswith("gates.") else None
        assert value is None or rule["type"] == "number" or isinstance(value, int), name
    latency, load_ = settings.table("latency"), settings.table("load")
    plan = latency_plan(service, GREEN, BLUE, [USER], latency)
    limits = LatencyLimits.of(latency)
    Judge(limits, plan.samples, plan.operations)
    BudgetWatch(limits, plan.operations)
    assert 1 / (plan.rate / 2) < threading.TIMEOUT_MAX
    load_is_possible(settings, None)
    whole = load_plan(service, GREEN, [USER], load_)
    for one in (whole, *plans(whole, BLUE.url, float(load_["compare_rate"]) or 1.0)):
        assert first_arguments(one, Path("stats.json"))
        assert one.users / one.rate < threading.TIMEOUT_MAX
        assert one.users / (one.ramp or one.users) < threading.TIMEOUT_MAX
    assert LoadResult.latest_of(load_) > 0 or load_["p95_ms"] == math.ulp(0.0)


def test_every_number_has_two_ends() -> None:
    assert len(NUMBERS) > 80
    for name, rule in NUMBERS.items():
        assert "maximum" in rule, name
        assert "minimum" in rule or "exclusiveMinimum" in rule, name


@pytest.mark.parametrize(("name", "end"), ENDS, ids=[f"{name}={end:g}" for name, end in ENDS])
def test_an_accepted_number_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, end: float) -> None:
    settings = _settings(tmp_path, {name: end, **BESIDE.get((name, end), {})})
    _use_prober(settings, tmp_path, monkeypatch)
    _use_deployment(settings)
    _use_gates(settings)


def test_a_count_with_a_point_is_refused(tmp_path: Path) -> None:
    """JSON Schema takes 20.0 for an integer; ``range`` and the number of a check's samples do not."""
    counts = {name: int(rule["minimum"]) for name, rule in NUMBERS.items() if rule["type"] == "integer"}
    with pytest.raises(SettingsError) as caught:
        _settings(tmp_path, {name: float(least) for name, least in counts.items()})
    for name, least in counts.items():
        refused = f"{name} = {least}.0 is not allowed: {least}.0 is not of type 'integer'; write {least}\n"
        assert refused in f"{caught.value.message}\n"
    with pytest.raises(SettingsError, match=r"identity = 140\.5 .*not of type 'integer'\n"):
        _settings(tmp_path, {"deployment.identity": 140.5})


@pytest.mark.parametrize(("bake", "rate"), [(0.3, 5), (19, 0.1)])
def test_a_bake_without_a_request_is_refused(tmp_path: Path, bake: float, rate: float) -> None:
    """The gate live would fail after the switch, however good the release is."""
    with pytest.raises(SettingsError, match=rf"deployment.bake = {bake} .*deployment.prober_rate = {rate}"):
        _settings(tmp_path, {"deployment.bake": bake, "deployment.prober_rate": rate})
    _settings(tmp_path, {"deployment.bake": 2 / rate, "deployment.prober_rate": rate})
