"""A fake world for runs of the plugins: fake ports, and a service behind real HTTP that follows the fake router.

Only the controller calls the ports. Their state is in files, so that a run in another process and the test that started it
see the same. Workers see only the state that the controller publishes.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from deployment.clock import SystemClock
from deployment.errors import LeaseHeld, LeaseLost, NotFound, UnknownTag
from deployment.model import (
    Caller,
    Colour,
    Configuration,
    Holder,
    Image,
    Progress,
    Readiness,
    Reads,
    Rights,
    Rollout,
    Routes,
    Service,
)
from deployment.plan import Ports
from deployment.settings import Settings
from infrastructure import compose, named_secrets
from infrastructure.compose import Environment
from infrastructure.description import service_of
from infrastructure.journey_data import HttpJourneyData
from tests.plugins import project_settings
from tests.plugins.project_settings import FOLDER
from verification.journeys.accounts import SmokeUser

USERS = (SmokeUser("one@smoke.example", "canary-password-1"), SmokeUser("two@smoke.example", "canary-password-2"))
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"
IMAGES = [
    Image("telehealth-api", tag, f"sha256:{number * 64}", tag, f"registry.example/telehealth-api@sha256:{number * 64}")
    for tag, number in (("1.0.0", "a"), ("1.1.0", "b"))
]


class Facts:
    """The world's state in files, each of which is replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str, default: Any = None) -> Any:
        """Return the value that was written last under this name."""
        try:
            return json.loads((self.folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return default

    def write(self, name: str, value: Any) -> None:
        """Replace the value under this name."""
        temporary = self.folder / f".{name}-{threading.get_ident()}"
        temporary.write_text(json.dumps(value))
        os.replace(temporary, self.folder / f"{name}.json")

    def note(self, call: str) -> None:
        """Append a call to the list of calls."""
        with (self.folder / "calls.txt").open("a") as file:
            file.write(f"{call}\n")

    def calls(self) -> list[str]:
        """Return every call so far, in order."""
        path = self.folder / "calls.txt"
        return path.read_text().split("\n")[:-1] if path.exists() else []


class FakePlatform:
    """Two colours; blue runs 1.0.0 from the start, and a provisioned release runs at once."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def describe(self, colour: Colour) -> Service:
        """See ``deployment.ports.Platform``."""
        digest = self._facts.read("services")[colour]
        url = self._facts.read("urls")[colour]
        running = digest is not None
        return Service(
            colour, "RUNNING" if running else "PAUSED", running, False, digest, url.removeprefix("http://"), url
        )

    def configured(self, colour: Colour) -> Configuration | None:
        """See ``deployment.ports.Platform``."""
        return Configuration(self._facts.read("variables", {}).get(colour, {}), {}, {})

    def provision(self, colour: Colour, image: Image) -> Rollout:
        """See ``deployment.ports.Platform``."""
        self._facts.note(f"provision {colour} {image.tag}")
        self._facts.write("services", {**self._facts.read("services"), colour: image.digest})
        return Rollout(colour, image.digest, "operation-1")

    def progress(self, rollout: Rollout) -> Progress:
        """See ``deployment.ports.Platform``."""
        return Progress(Readiness.READY, f"{rollout.colour} runs")

    def scale(self, colour: Colour) -> None:
        """See ``deployment.ports.Platform``."""

    def retire(self, colour: Colour) -> Rollout | None:
        """See ``deployment.ports.Platform``."""
        self._facts.note(f"retire {colour}")
        self._facts.write("services", {**self._facts.read("services"), colour: None})
        return None

    def stopped(self, colour: Colour) -> Progress:
        """See ``deployment.ports.Platform``."""
        stopped = self._facts.read("services")[colour] is None
        return Progress(Readiness.READY if stopped else Readiness.NOT_YET, f"{colour} is stopped")

    def logs(self, colour: Colour, since: datetime, limit: int = 200) -> Sequence[str]:  # noqa: ARG002  # the port's signature
        """See ``deployment.ports.Platform``."""
        return list(self._facts.read("logs", []))


class FakeRouter:
    """The routes; the service's live domain reads the same file."""

    settling_s = 0.0

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def observe(self) -> Routes:
        """See ``deployment.ports.Router``."""
        raw = self._facts.read("routes")
        live = Colour(raw["live"])
        weights = {Colour(name): weight for name, weight in raw.get("weights", {live: 100, live.other: 0}).items()}
        return Routes(live, weights, raw["generation"])

    def set(self, seen: Routes, weights: Mapping[Colour, int], origins: Mapping[Colour, str], token: int) -> Routes:  # noqa: ARG002  # the port's signature
        """See ``deployment.ports.Router``."""
        live = max(weights, key=lambda colour: weights[colour])
        whole = weights[live] == 100
        self._facts.note(f"route {live}" if whole else f"share {', '.join(f'{k} {v}' for k, v in weights.items())}")
        self._facts.write("routes", {"live": live, "generation": seen.generation + 1, "weights": dict(weights)})
        return replace(seen, live=live, weights=weights, generation=seen.generation + 1, fence=token)

    def spread(self, live: Colour, generation: int) -> Progress:
        """See ``deployment.ports.Router``."""
        return Progress(Readiness.READY, f"{live} at {generation}")


class FakeLease:
    """One holder, in a file; it never expires."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def acquire(self, holder: Holder, *, take_over: int | None = None) -> Holder:
        """See ``deployment.ports.Lease``."""
        current = self.current()
        if current is not None and current.token != take_over:
            raise LeaseHeld(current)
        token = self._facts.read("token", 0) + 1
        held = replace(holder, token=token)
        self._facts.write("token", token)
        self._facts.write("holder", json.loads(json.dumps(asdict(held), default=str)))
        return held

    def renew(self, holder: Holder) -> Holder:
        """See ``deployment.ports.Lease``."""
        self.check(holder)
        return holder

    def check(self, holder: Holder) -> None:
        """See ``deployment.ports.Lease``."""
        current = self.current()
        if current is None or current.token != holder.token:
            raise LeaseLost("another holder has the lease")

    def release(self, holder: Holder) -> None:  # noqa: ARG002  # the port's signature
        """See ``deployment.ports.Lease``."""
        self._facts.write("holder", None)

    def current(self) -> Holder | None:
        """See ``deployment.ports.Lease``."""
        raw = self._facts.read("holder")
        if raw is None:
            return None
        times = {key: datetime.fromisoformat(raw[key]) for key in ("since", "expires_at")}
        return Holder(**{**raw, **times})

    def note(self, holder: Holder, notes: Mapping[str, str | None]) -> None:
        """See ``deployment.ports.Lease``."""
        self.check(holder)
        merged = {**self.notes(), **notes}
        self._facts.write("notes", {key: value for key, value in merged.items() if value is not None})

    def notes(self) -> Mapping[str, str]:
        """See ``deployment.ports.Lease``."""
        found: dict[str, str] = self._facts.read("notes", {})
        return found

    def swap_note(self, name: str, seen: str | None, text: str) -> bool:
        """See ``deployment.ports.Lease``."""
        notes = self.notes()
        if notes.get(name) != seen:
            return False
        self._facts.write("notes", {**notes, name: text})
        return True


class FakeRegistry:
    """Two releases; the one whose tag is the fact ``irreversible`` has an irreversible migration."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def resolve(self, tag: str) -> Image:
        """See ``deployment.ports.Registry``."""
        for image in IMAGES:
            if image.tag == tag:
                return replace(image, irreversible=tag == self._facts.read("irreversible"))
        raise UnknownTag(f"no release {tag}; there are {', '.join(self.tags())}")

    def find(self, digest: str) -> Image | None:
        """See ``deployment.ports.Registry``."""
        return next((image for image in IMAGES if image.digest == digest), None)

    def tags(self) -> Sequence[str]:
        """See ``deployment.ports.Registry``."""
        return [image.tag for image in IMAGES]


class FakePermissions:
    """Denies the rights in the fact ``denied``, by colour; each call sets the routes to the fact ``moved``, if there is one."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def missing(self, caller: Caller, duties: Sequence[str], target: Colour | None = None) -> Rights:
        """See ``deployment.ports.Permissions``."""
        assert (caller.arn, duties) != ("", [])
        if moved := self._facts.read("moved"):
            self._facts.write("routes", moved)
        denied = self._facts.read("denied")
        return Rights(
            tuple(action for colour in Colour if target in (None, colour) for action in denied.get(colour, ()))
        )


def _facts() -> Facts:
    return Facts(Path(os.environ[FOLDER]))


def _is_up(settings: Settings) -> bool:
    return True


def _start(settings: Settings, progress: compose.Progress, run_id: str) -> bool:
    _facts().note("start")
    return True


class FakeVault:
    """Secrets Manager; the facts hold its secrets."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def read(self, name: str) -> str:
        """Return a secret. Raises NotFound."""
        found = self._facts.read("vault", {}).get(name)
        if found is None:
            raise NotFound(f"there is no secret {name}")
        return str(found)


def _connect(settings: Settings, reads: Reads = Reads.ALL) -> Environment:  # connect's signature
    facts, clock = _facts(), SystemClock()
    live_url = facts.read("urls")["live"]
    named = named_secrets.provide(FakeVault(facts), settings, {})
    timeout_s = settings.limits.prober_timeout
    data = HttpJourneyData(settings.environment, live_url, USERS, service_of(settings), timeout_s=timeout_s)
    return Environment(
        settings.environment,
        live_url,
        Ports(FakePlatform(facts), FakeRouter(facts), FakeLease(facts), data.front(), clock, data=data),
        FakeRegistry(facts),
        Caller("arn:aws:iam::123456789012:user/tester", "123456789012"),
        USERS,
        (*(user.password for user in USERS), *named.texts),
        permissions=None if facts.read("denied") is None else FakePermissions(facts),
    )


def _stop(settings: Settings) -> None:
    _facts().note("stop")


def install(patch: pytest.MonkeyPatch) -> None:
    """Replace the real environment by the fake world in this process."""
    for name, value in (("is_up", _is_up), ("start", _start), ("connect", _connect), ("stop", _stop)):
        patch.setattr(compose, name, value)
    project_settings.install(patch)


class _Handler(BaseHTTPRequestHandler):
    """The service in a few lines; ``side`` is a colour or "live", the live domain."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    facts: ClassVar[Facts]
    side: ClassVar[str]
    asked: ClassVar[int] = 0
    booked: ClassVar[dict[str, dict[str, Any]]]  # the database, which both colours share

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        routes = self.facts.read("routes")
        colour = self._colour(routes) if self.side == "live" else self.side
        digest = self.facts.read("services")[colour]
        path = self.path.partition("?")[0]
        if digest is None or self.facts.read("sick", {}).get(colour):
            self._send(503, {"status": 503}, colour, routes["generation"])
            return
        if not path.startswith("/health") and self._database_is_down():
            self._send(503, {"status": 503}, colour, routes["generation"])
            return
        if (hangs := self.facts.read("hangs")) and self.side == "green" and path.startswith(hangs["below"]):
            time.sleep(hangs["seconds"])
            self._send(503, {"status": 503}, colour, routes["generation"])
            return
        self._take_time(colour, path)
        version = next(image.version for image in IMAGES if image.digest == digest)
        status, value = self._route(path, body, version)
        self._send(status, value, colour, routes["generation"])

    def _take_time(self, colour: str, path: str) -> None:
        """Answer slowly as the fact ``slow`` says: of a colour, below a path, so many seconds, so many answers, one in ``every``."""
        slow = self.facts.read("slow")
        if slow is None or colour != slow["colour"] or not path.startswith(slow["below"]):
            return
        if slow["left"] > 0:
            self.facts.write("slow", {**slow, "left": slow["left"] - 1})
            time.sleep(slow["seconds"] if slow["left"] % slow.get("every", 1) == 0 else 0)

    def _database_is_down(self) -> bool:
        """Count down the fact ``database_down``: so many requests to blue's own address fail, and each other one until then."""
        left = int(self.facts.read("database_down", 0))
        if left and self.side == "blue":
            self.facts.write("database_down", left - 1)
        return left > 0

    def _colour(self, routes: dict[str, Any]) -> str:
        """Return the colour of the next answer: by weight, in a fixed order instead of at random."""
        cls = type(self)
        cls.asked += 1
        green = routes.get("weights", {}).get("green")
        if green is None:
            return str(routes["live"])
        return "green" if cls.asked * green // 100 > (cls.asked - 1) * green // 100 else "blue"

    def _route(self, path: str, body: bytes, version: str) -> tuple[int, object]:
        if path.startswith("/health"):
            return 200, {"status": "ok", "version": version, "latency_ms": 1.0}
        if path == "/auth/login":
            given = json.loads(body)
            known = any(given == {"email": user.email, "password": user.password} for user in USERS)
            return (200, {"access_token": TOKEN}) if known else (401, {"title": "no"})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"title": "no token"}
        if path == "/auth/logout":
            return 204, None
        if self.command == "POST":
            one = {**json.loads(body), "id": uuid.uuid4().hex}
            self.booked[one["id"]] = one
            return 201, one
        if path == "/consults":
            return 200, {"items": list(self.booked.values())}
        found = self.booked.get(path.rpartition("/")[2])
        if found is None:
            return 404, {"title": "none"}
        if self.command == "DELETE":
            self.booked.pop(found["id"], None)
            return 204, None
        return 200, found

    def _send(self, status: int, value: object, colour: str, generation: int) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.side == "live":
            self.send_header("x-bg-color", colour)
            self.send_header("x-bg-generation", str(generation))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # http.server's names


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close the connection early."""


@contextmanager
def serving(facts: Facts) -> Iterator[None]:
    """Run the service on three ports, one for each colour and one for the live domain. Blue is live on 1.0.0."""
    servers, urls = [], {}
    booked: dict[str, dict[str, Any]] = {}
    for side in ("blue", "green", "live"):
        handler = type(f"{side.title()}Handler", (_Handler,), {"facts": facts, "side": side, "booked": booked})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        servers.append(server)
        urls[side] = f"http://127.0.0.1:{server.server_port}"
    facts.write("urls", urls)
    facts.write("services", {"blue": IMAGES[0].digest, "green": None})
    facts.write("routes", {"live": "blue", "generation": 7})
    try:
        yield
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
