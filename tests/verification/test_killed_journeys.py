"""Data of journeys whose process was killed with SIGKILL: the ledger names it, and the JourneyData port removes it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from infrastructure.journey_data import HttpJourneyData
from tests.verification.notes_server import USER as ANN
from tests.verification.notes_server import Notes
from tests.verification.notes_server import described as notes_described
from tests.verification.shop_server import DESCRIPTION, USER, Shop
from tests.verification.test_prober_other_service import wait_until
from verification.declarative.service import load_service
from verification.journeys import ledger
from verification.journeys.accounts import SmokeUser
from verification.journeys.ledger import Ledger, OpenPlay
from verification.journeys.model import Journey, Service
from verification.journeys.placeholders import Values
from verification.journeys.player import Play
from verification.latency.asking import Asker
from verification.latency.plan import CANDIDATE, LatencyPlan, operations_of
from verification.prober.config import ProberConfig
from verification.prober.prober import Prober

ANNA = SmokeUser(**USER)
ACCOUNT = {"email": ANNA.email, "password": ANNA.password}
TOKEN = "canary-session-token-4711"


@pytest.fixture
def shop() -> Iterator[Shop]:
    running = Shop()
    yield running
    running.stop()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    path = tmp_path / "service.yaml"
    path.write_text(DESCRIPTION, encoding="utf-8")
    return load_service(path, "suites/service.yaml")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    return tmp_path / "journeys.jsonl"


def data(url: str, service: Service, *users: SmokeUser) -> HttpJourneyData:
    return HttpJourneyData("test", url, users or (ANNA,), service, timeout_s=5)


def test_killed_prober(shop: Shop, service: Service, book: Path, tmp_path: Path) -> None:
    """Its orders and notes are removed, what another run wrote stays; a second time there is nothing to do."""
    others = shop.order("availability probe another run")
    ledger.create(book, "test", shop.url)
    config = ProberConfig(shop.url, ANNA, service, rate=200, stderr_log=str(tmp_path / "log"), ledger=str(book))
    shop.lose = 2
    with Prober.start(config) as prober:
        wait_until(lambda: shop.lose == 0)
        shop.delete_fails = True
        wait_until(lambda: len(shop.orders) > 8)
        os.kill(prober.pid, signal.SIGKILL)
    shop.delete_fails = False
    known = book.read_text(encoding="utf-8")
    assert "canary" not in known
    found = data(shop.url, service).remove(book, 20)
    assert found is not None
    assert found.left == ()
    assert found.removed > 4
    assert shop.orders == {others: "availability probe another run"}
    assert not book.exists()
    assert data(shop.url, service).remove(book, 20) is None


def test_what_cannot_be_removed_stays_in_the_ledger(shop: Shop, service: Service, book: Path) -> None:
    """The reason names the request without a value of it; the next time tries again, and the owner may have removed it by then."""
    ledger.create(book, "test", shop.url)
    for tag in ("one", "two"):
        where = shop.order(tag)
        play = Play(service.journeys[1], Values(ACCOUNT, tag), Ledger(book).entry(service.journeys[1]))
        play.learn(play.prepare({}), Created(f"{shop.url}{where}"))
    shop.delete_fails = True
    found = data(shop.url, service).remove(book, 20)
    assert found is not None
    assert (found.removed, found.left) == (0, ("order: DELETE ${where}: status 500 (2 times)",))
    shop.delete_fails = False
    del shop.orders["/orders/1"]
    found = data(shop.url, service).remove(book, 20)
    assert found is not None
    assert (found.removed, found.gone, found.left) == (1, 1, ())
    assert shop.orders == {}
    assert not book.exists()


@dataclass(frozen=True)
class Created:
    """An answer that names what was created."""

    where: str
    status: int = 201
    body: bytes = b""

    @property
    def headers(self) -> dict[str, str]:
        return {"Location": self.where}


def test_ledger_of_another_environment_is_left_alone(shop: Shop, service: Service, book: Path) -> None:
    """Its ids may mean other data here."""
    shop.order("one")
    ledger.create(book, "test", "http://elsewhere.localhost:1")
    play = Play(service.journeys[1], Values(ACCOUNT, "one"), Ledger(book).entry(service.journeys[1]))
    play.learn(play.prepare({}), Created("/orders/1"))
    assert data(shop.url, service).remove(book, 20) is None
    assert shop.orders == {"/orders/1": "one"}
    assert shop.seen == []
    assert book.exists()


def test_journey_without_a_sweep_says_what_it_does_not_know(shop: Shop, service: Service, book: Path) -> None:
    order = replace(service.journeys[1], sweep=None)
    described = replace(service, journeys=(order,))
    ledger.create(book, "test", shop.url)
    Play(order, Values(ACCOUNT, "one"), Ledger(book).entry(order)).prepare({})  # killed before the answer
    found = data(shop.url, described).remove(book, 20)
    assert found is not None
    assert found.left == ("order: it died before it knew what it had written, and the journey has no `sweep`",)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (
            {"users": (SmokeUser("other@smoke.example", "word"),)},
            "order: its account is not one of the smoke users any more",
        ),
        ({"journeys": ()}, "order: suites/service.yaml does not describe this journey any more"),
        ({"within": -1.0}, "order: the time was over"),
    ],
)
def test_reasons(shop: Shop, service: Service, book: Path, change: dict[str, object], left: str) -> None:
    ledger.create(book, "test", shop.url)
    Play(service.journeys[1], Values(ACCOUNT, "one"), Ledger(book).entry(service.journeys[1])).prepare({})
    described = replace(service, journeys=()) if "journeys" in change else service
    users = change.get("users", (ANNA,))
    assert isinstance(users, tuple)
    found = data(shop.url, described, *users).remove(book, 20.0 if "within" not in change else -1.0)
    assert found is not None
    assert found.left == (left,)


def test_service_that_does_not_answer(service: Service, book: Path) -> None:
    """Nothing is raised: the recovery goes on."""
    ledger.create(book, "test", "http://127.0.0.1:9")
    Play(service.journeys[1], Values(ACCOUNT, "one"), Ledger(book).entry(service.journeys[1])).prepare({})
    found = data("http://127.0.0.1:9", service).remove(book, 20)
    assert found is not None
    assert found.left == ("order: GET /orders: no answer",)


# -- what the ledger says --------------------------------------------------------------------------------------------------


def test_line_is_written_before_the_request_and_before_the_next_step(service: Service, book: Path) -> None:
    ledger.create(book, "test", "http://x")
    journey = service.journeys[1]
    play = Play(journey, Values(ACCOUNT, "m"), Ledger(book).entry(journey))
    prepared = play.prepare({})
    assert [one.values for one in ledger.read(book).open] == [{"marker": "m"}], "before the request is sent"
    play.learn(prepared, Created("/orders/7"))
    (known,) = ledger.read(book).open
    assert (known.journey, known.values) == ("order", {"marker": "m", "where": "/orders/7"}), "before the next step"
    play.abandon()
    play.learn(play.prepare({}), Created("", 204))
    assert ledger.read(book).open == ()


def test_reading_journeys_write_no_line(service: Service, book: Path) -> None:
    ledger.create(book, "test", "http://x")
    play = Play(service.journeys[0], Values(None, "m"), Ledger(book).entry(service.journeys[0]))
    play.learn(play.prepare({}), Created(""))
    assert book.read_text(encoding="utf-8").count("\n") == 1


def capturing(service: Service, query: str, name: str = "where") -> Journey:
    """Return the journey that orders, with another value captured."""
    order = service.journeys[1]
    step = replace(order.steps[0], capture={name: query})
    undo = replace(order.undo[0], request=replace(order.undo[0].request, path=f"/orders/${{{name}}}"))
    return replace(order, steps=(step,), undo=(undo,))


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("header Location", "where", TOKEN),  # the session's token
        ("header Location", "where", USER["password"]),
        ("header Location", "where", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"),  # has the shape of a token
        ("header Location", "session_token", "17"),  # has the name of a secret
        ("header X-Auth-Token", "where", "17"),
        ("header Location", "patient", "Smoke"),  # private, says the description
    ],
)
def test_secret_value_is_never_written(service: Service, book: Path, query: str, name: str, value: str) -> None:
    journey = capturing(service, query, name)
    ledger.create(book, "test", "http://x")
    lines = Ledger(book, [ANNA.password], ["patient"])
    play = Play(journey, Values(ACCOUNT, "m"), lines.entry(journey))
    prepared = play.prepare({"Authorization": f"Bearer {TOKEN}"})
    play.values.learn({name: value})
    play.entry.learned(play.values)
    assert prepared.step == journey.steps[0]
    assert json.dumps(value) not in book.read_text(encoding="utf-8")
    (known,) = ledger.read(book).open
    assert (known.values, known.withheld) == ({"marker": "m"}, {name})


def test_torn_line_spoils_no_other_line(service: Service, book: Path) -> None:
    """The disk was full in the middle of a line, or the machine lost power."""
    ledger.create(book, "test", "http://x")
    journey = service.journeys[1]
    lines = Ledger(book)
    with book.open("a", encoding="utf-8") as file:
        file.write('\n{"play": "a", "journey": "order", "acc')
    Play(journey, Values(ACCOUNT, "m"), lines.entry(journey)).prepare({})
    with book.open("a", encoding="utf-8") as file:
        file.write('\n{"play": "b"}\n[1]\nnull\n{"play": "c", "values": 3}\n\x00')
    contents = ledger.read(book)
    assert (contents.environment, contents.live_url, len(contents.open)) == ("test", "http://x", 1)


@pytest.mark.parametrize("odd", ["[" * 3_000_000, '"a text"', "7", '{"play": []}'])
def test_odd_line_spoils_no_other_line(tmp_path: Path, odd: str) -> None:
    path = tmp_path / "journeys.jsonl"
    path.write_text(f'{odd}\n{{"environment": "test", "live_url": "http://live.example"}}\n')
    assert ledger.read(path) == ledger.Contents("test", "http://live.example", ())


def test_only_the_owner_can_read_the_file(book: Path) -> None:
    ledger.create(book, "test", "http://x")
    assert book.stat().st_mode & 0o777 == 0o600


def test_ledger_that_is_gone_stops_nobody(service: Service, book: Path) -> None:
    journey = service.journeys[1]
    play = Play(journey, Values(ACCOUNT, "m"), Ledger(book).entry(journey))
    play.learn(play.prepare({}), Created("/orders/7"))
    assert not book.exists()


def test_account_is_named_by_a_hash(service: Service, book: Path) -> None:
    ledger.create(book, "test", "http://x")
    Play(service.journeys[1], Values(ACCOUNT, "m"), Ledger(book).entry(service.journeys[1])).prepare({})
    (known,) = ledger.read(book).open
    assert known == OpenPlay(known.key, "order", ledger.account_key(ACCOUNT), {"marker": "m"})
    assert ACCOUNT["email"] not in book.read_text(encoding="utf-8")


# -- the other processes ---------------------------------------------------------------------------------------------------


def test_latency_that_ends_without_clearing(notes: Notes, tmp_path: Path, book: Path) -> None:
    """As after SIGKILL: ``clear`` is never called."""
    described, user = notes_described(tmp_path), SmokeUser(**ANN)
    ledger.create(book, "test", notes.url)
    plan = LatencyPlan({CANDIDATE: notes.url}, described, user, ledger=str(book))
    asker = Asker(notes.url, plan, None)
    asker.sign_in()
    for operation in operations_of(described).values():
        if operation.method in ("POST", "PUT"):
            asker.ask(operation, "kept")
    asker.reconnect()
    assert notes.stored
    found = data(notes.url, described, user).remove(book, 20)
    assert found is not None
    assert (found.left, notes.stored) == ((), {})
    asker.clear()


LOADING = """
import sys
from pathlib import Path
from tests.verification.notes_server import described
from verification.journeys.accounts import SmokeUser
from verification.load.run import LoadPlan, run_load

folder = Path(sys.argv[2])
user = SmokeUser(*sys.stdin.readline().split())
book = str(folder / "journeys.jsonl")
plan = LoadPlan(sys.argv[1], described(folder), (user,), users=4, rate=80, seconds=120, workers=2, ledger=book)
run_load(plan, log=folder / "load.log")
"""


@pytest.mark.soak
def test_killed_load(notes: Notes, tmp_path: Path, book: Path) -> None:
    """The process that runs the load, Locust's master and its workers are all killed with notes stored."""
    ledger.create(book, "test", notes.url)
    child = subprocess.Popen(
        [sys.executable, "-c", LOADING, notes.url, str(tmp_path)], cwd=Path(__file__).parents[2], stdin=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.write(f"{ANN['email']} {ANN['password']}\n".encode())
    child.stdin.close()
    wait_until(lambda: len(notes.seen) > 60, 60)
    notes.fail["DELETE /notes/{}"] = notes.fail["DELETE /files/{}"] = 1_000_000
    wait_until(lambda: len(notes.stored) > 8, 30)
    everyone = [*psutil.Process(child.pid).children(recursive=True), psutil.Process(child.pid)]
    for process in everyone:
        process.kill()
    psutil.wait_procs(everyone[:-1], timeout=20)
    child.wait(20)
    notes.fail.clear()
    assert notes.stored
    assert "canary" not in book.read_text(encoding="utf-8")
    found = data(notes.url, notes_described(tmp_path), SmokeUser(**ANN)).remove(book, 30)
    assert found is not None
    assert (found.left, notes.stored) == ((), {})
