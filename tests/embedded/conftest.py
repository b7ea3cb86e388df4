"""A tiny image that starts in a tenth of a second, and environments that run it for real."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infrastructure.embedded import cloud
from infrastructure.embedded.estate.aws_session import AwsSession
from infrastructure.embedded.outputs import Outputs

SERVED = cloud.Served("telehealth-api")
SERVE = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        names = ("DATABASE_URL", "JWT_SECRET", "SEED_USERS")
        seen = {"version": open("VERSION").read().strip(), "host": self.headers["Host"], "size": len(body),
                "viewer": self.headers.get("X-Forwarded-Host"), "aws": [n for n in os.environ if n.startswith("AWS")],
                "injected": [n for n in names if os.environ.get(n)]}
        answer = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    do_POST = do_GET
    def log_message(self, *args):
        pass

ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def make_image(registry: Path, tag: str, serve: str = SERVE, repository: str = "telehealth-api") -> Path:
    """Write an image folder whose release reports its tag as its version; return the folder."""
    folder = registry / repository / tag
    folder.mkdir(parents=True)
    (folder / "VERSION").write_text(f"{tag}\n")
    (folder / "Procfile").write_text("web: exec python serve.py\n")
    (folder / "serve.py").write_text(serve)
    return folder


@dataclass(frozen=True)
class Running:
    """An environment that is up."""

    state: Path
    registry: Path
    outputs: Outputs

    def client(self, service: str) -> Any:
        """Return a boto3 client for this environment."""
        endpoints = self.outputs.endpoints
        return AwsSession(self.outputs.credentials).client(service, endpoints.get(service, endpoints["default"]))


@pytest.fixture
def image() -> Callable[..., Path]:
    """Return `make_image`: `image(registry, tag)` writes a tiny image."""
    return make_image


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """Return a registry folder with 1.0.0 and 1.1.0."""
    folder = tmp_path / "registry"
    for tag in ("1.1.0", "1.0.0"):
        make_image(folder, tag)
    return folder


@pytest.fixture
def state() -> Iterator[Path]:
    """Return a state folder that does not exist yet; stop an environment in it at the end."""
    parent = Path(tempfile.mkdtemp(prefix="embedded-test-"))
    parent.chmod(0o755)
    yield parent / "state"
    cloud.down(parent / "state")
    shutil.rmtree(parent)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Start one environment with 1.0.0 live for a file of tests; each test leaves it as it was.

    The scope is a file, not the session: the variables set here must not reach tests of other folders.
    """
    parent = Path(tempfile.mkdtemp(prefix="embedded-test-"))
    parent.chmod(0o755)
    for tag in ("1.0.0", "1.1.0"):
        make_image(parent / "registry", tag)
    ambient = {"AWS_PROFILE": "bogus", "AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "not-this"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ambient.items():
            patch.setitem(os.environ, name, value)  # none of them may have any effect
        try:
            outputs = cloud.up(parent / "state", parent / "registry", SERVED)
            yield Running(parent / "state", parent / "registry", outputs)
        finally:
            cloud.down(parent / "state")
            shutil.rmtree(parent)
