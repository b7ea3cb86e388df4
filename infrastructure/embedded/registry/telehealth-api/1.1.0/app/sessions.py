"""What both colours share in Redis: revoked tokens and the rate limit's counts. Every key ends by itself."""

import hashlib
import math
import time

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.tokens import Token

TIMEOUT_S = 1.0
CONNECTIONS = 16


class Sessions:
    """Redis, connected on first use. Methods raise redis.exceptions.ConnectionError and TimeoutError."""

    def __init__(self, host: str, port: int) -> None:
        pool = BlockingConnectionPool(
            host=host,
            port=port,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            # One try more: a connection that Redis closed while it restarted is found out only by using it.
            retry=Retry(NoBackoff(), 1),
        )
        self._redis = Redis.from_pool(pool)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def ping(self) -> None:
        """One round trip."""
        await self._redis.ping()

    async def revoke(self, token: Token) -> None:
        """Refuse this token from now on, for as long as it would have been good."""
        seconds_left = max(1, math.ceil(token.expires_at - time.time()))
        await self._redis.set(_revoked_key(token), b"1", ex=seconds_left)

    async def is_revoked(self, token: Token) -> bool:
        """Whether `revoke` was called for it, on either colour."""
        return bool(await self._redis.exists(_revoked_key(token)))

    async def count(self, whose: str, window_s: int) -> tuple[int, int]:
        """Count one more request; how many there were in this window, and the seconds until it ends."""
        key = f"telehealth:requests:{whose}"
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.set(key, 0, ex=window_s, nx=True)  # the first request opens the window and sets its end
            pipeline.incr(key)
            pipeline.ttl(key)
            _, count, seconds_left = await pipeline.execute()
        return int(count), max(1, int(seconds_left))


def _revoked_key(token: Token) -> str:
    return f"telehealth:revoked:{hashlib.sha256(token.id.encode()).hexdigest()}"
