"""An environment's own secrets as canaries: they must not occur in reports, in the output, or in what ``ps`` shows."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.e2e.sandbox import Sandbox

EVERY_S = 0.2
JWT = re.compile(r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+")


@contextmanager
def command_lines() -> Iterator[set[str]]:
    """Collect the command lines of all processes, as ``ps`` shows them to every user, every 0.2 s while the block runs."""
    seen: set[str] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(EVERY_S):
            for process in psutil.process_iter():
                try:
                    seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue

    thread = threading.Thread(target=look, name="ps", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def assert_no_secrets(sandbox: Sandbox, texts: dict[str, str]) -> None:
    """Assert that no secret of the sandbox's environment occurs in its reports or in these texts."""
    with sandbox.world() as world:
        secrets = {secret for secret in world.secrets if secret not in ("", "[]")}
    assert len(secrets) > len(world.smoke_users), "there are secrets to look for"
    files = {str(path): path for path in sandbox.reports.rglob("*") if path.is_file()}
    assert any(name.endswith("audit.jsonl") for name in files)
    everything = texts | {name: path.read_text(encoding="utf-8", errors="replace") for name, path in files.items()}
    for name, text in everything.items():
        for secret in secrets:
            assert secret not in text, f"a secret of {len(secret)} characters is in {name}"
        assert not JWT.search(text), f"a token is in {name}"
