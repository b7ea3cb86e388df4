"""Clients that take jobs from a queue, by the client list of Redis."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import redis

from tests.service.support import free_port, valkey, wait_until
from verification.stores.connections import StoreFailed
from verification.stores.queues import count, takers


@pytest.mark.parametrize(
    ("command", "takes"),
    [
        ("blpop", 1),
        ("LPOP", 1),
        ("xreadgroup", 1),
        ("bzpopmin", 1),
        ("get", 0),
        ("subscribe", 0),
        ("xread", 0),
        ("", 0),
    ],
)
def test_commands_that_take_jobs(command: str, takes: int) -> None:
    """Failure mode 14: commands that every subscriber or reader can use take no job from others."""
    assert count([{"cmd": command}, {"cmd": "client|list"}, {}]) == takes


def test_unreachable_redis_shows_no_password() -> None:
    with pytest.raises(StoreFailed) as caught:
        takers("redis://:canary-password@127.0.0.1:1")
    assert "canary" not in str(caught.value)


def test_waiting_and_polling_clients_are_counted(tmp_path: Path) -> None:
    """A real Valkey with a waiting client, a client that polled earlier, and a user who may not list clients."""
    port = free_port()
    with valkey(tmp_path, port) as control, redis.Redis(port=port) as waits, redis.Redis(port=port) as asks:
        assert takers(f"redis://127.0.0.1:{port}/0") == (0, 0)
        waiting = threading.Thread(target=waits.blpop, args=(["jobs"], 20))
        waiting.start()
        wait_until(lambda: control.info("clients")["blocked_clients"] == 1, "a client waits")
        asks.lpop("others")
        assert takers(f"redis://127.0.0.1:{port}/0") == (2, 2)
        asks.rpush("jobs", "the end")
        waiting.join()
        asks.acl_setuser("narrow", enabled=True, passwords=["+word"], commands=["+get", "+hello", "+client|setinfo"])
        assert takers(f"redis://narrow:word@127.0.0.1:{port}/0") is None
