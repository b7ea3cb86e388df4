"""Password hashing: argon2id, in threads of its own so that the event loop never waits for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's Password Storage Cheat Sheet, the setting with least memory: 7 MiB, t=5, p=1. About 20 ms.
_HASHER = PasswordHasher(time_cost=5, memory_cost=7168, parallelism=1)
_THREADS = 2  # bounds memory and CPU under a burst of logins; others wait their turn


def hash_password(password: str) -> str:
    """The hash to store, with its parameters and a salt of its own."""
    return _HASHER.hash(password)


def verify_password(stored: str, password: str) -> bool:
    """Whether `password` is the one that was hashed; false, too, for a stored text that is no hash."""
    try:
        return _HASHER.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False


class Passwords:
    """Verifies without stalling the event loop, and takes as long for a user who does not exist."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="argon2")
        self._nobody = hash_password("nobody has this password")

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` fits `stored`; None (no such user) costs the same and is false."""
        loop = asyncio.get_running_loop()
        fits = await loop.run_in_executor(self._threads, verify_password, stored or self._nobody, password)
        return fits and stored is not None

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown()
