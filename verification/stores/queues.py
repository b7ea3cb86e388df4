"""Counts connections that take jobs from queues in Redis: a release under test that does so takes them from the live one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from verification.stores.connections import TIMEOUT_S, StoreFailed

# Commands that give an entry to the caller alone. Entries that all readers get (SUBSCRIBE, XREAD) are not taken.
_OF_LISTS = "lpop rpop blpop brpop lmpop blmpop lmove blmove rpoplpush brpoplpush"
_OF_SETS = "zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop"
_OF_STREAMS = "xreadgroup xclaim xautoclaim"
TAKING = frozenset(f"{_OF_LISTS} {_OF_SETS} {_OF_STREAMS}".split())
# A connection that waits for jobs shows its command all the time; one that polls shows it until its next other command.
_LOOKS, _PAUSE_S = 3, 0.1


def takers(url: str) -> tuple[int, int] | None:
    """Return the smallest and the largest number, in three looks, of connections that took, or wait to take, from a queue.

    None if this connection may not list the others. Raises StoreFailed.
    """
    import redis  # imported here: only a deployment that has such a connection needs it

    seen = []
    try:
        with redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            for _ in range(_LOOKS):
                seen.append(count(client.client_list()))
                time.sleep(_PAUSE_S)
    except redis.exceptions.NoPermissionError:
        return None
    except (redis.RedisError, ValueError) as error:
        raise StoreFailed(f"Redis could not be asked on a connection of our own: {type(error).__name__}") from None
    return min(seen), max(seen)


def count(clients: Iterable[Mapping[str, str]]) -> int:
    """Count the takers in Redis's CLIENT LIST, by each connection's last command."""
    return sum(client.get("cmd", "").lower() in TAKING for client in clients)
