"""The script of Terraform's task ``database-user``, against a real PostgreSQL, as a master user like that of RDS runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.service.support import Postgres, wait_until

SCRIPT = Path(__file__).parents[2] / "infrastructure" / "terraform" / "modules" / "database-user" / "create-user.sh"
MASTER = "administrator"
PASSWORD = "canary-4f2a91c0"
OTHER = "canary-b7d3"


def query(url: str, *statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            answer = connection.execute(statement)
        return list(answer.fetchall()) if answer.description else []


class Database:
    """A database that a master user owns who is no superuser: the script must not need more."""

    def __init__(self, cluster: Postgres, name: str) -> None:
        admin = cluster.database(name)
        self.name, self._programs = name, cluster.programs
        self.authority = admin.partition("://")[2].partition("@")[2]
        query(admin, f"alter database {name} owner to {MASTER}")

    def url(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@{self.authority}"

    def create(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script as the task does."""
        host, _, port = self.authority.partition("/")[0].partition(":")
        own = {"PGHOST": host, "PGPORT": port, "PGDATABASE": self.name, "PGUSER": MASTER, "PGPASSWORD": "master"}
        path = f"{self._programs}:{os.environ['PATH']}"
        command = [shutil.which("sh") or "sh", "-c", SCRIPT.read_text()]
        return subprocess.run(
            command, env={"PATH": path, **own, **variables}, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture(scope="module")
def strict(cluster: Postgres) -> Postgres:
    """The cluster, which trusts everybody on loopback, with passwords for the users of these tests."""
    admin = cluster.url("postgres")
    query(admin, f"create role {MASTER} login createrole password 'master'")
    rules = cluster.folder / "data" / "pg_hba.conf"
    users = ",".join((MASTER, "telehealth_one", "telehealth_two", "checks_two"))
    rules.write_text(f"host all {users} 127.0.0.1/32 scram-sha-256\n{rules.read_text()}")
    query(admin, "select pg_reload_conf()")

    def asks() -> bool:
        try:
            query(f"postgresql://{MASTER}:wrong@127.0.0.1:{cluster.port}/postgres", "select 1")
        except psycopg.OperationalError:
            return True
        return False

    wait_until(asks, "PostgreSQL asks for passwords")
    return cluster


@pytest.fixture
def database(strict: Postgres) -> Database:
    return Database(strict, f"made_{uuid4().hex[:12]}")


def test_service_signs_in_and_makes_its_tables(database: Database) -> None:
    """Run twice, the script changes the password: so a rotation is the same task again."""
    made = database.create(DATABASE_URL=database.url("telehealth_one", PASSWORD))
    assert (made.returncode, made.stderr) == (0, "")
    query(database.url("telehealth_one", PASSWORD), "create table consults (id int)", "insert into consults values (1)")
    again = database.create(DATABASE_URL=database.url("telehealth_one", OTHER))
    assert again.returncode == 0, again.stderr
    assert query(database.url("telehealth_one", OTHER), "select id from consults") == [(1,)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        query(database.url("telehealth_one", PASSWORD), "select 1")
    assert PASSWORD not in f"{made.stdout}{made.stderr}{again.stdout}{again.stderr}"


def test_reader_reads_later_tables_too_and_writes_none(database: Database) -> None:
    given = {"DATABASE_URL": database.url("telehealth_two", PASSWORD), "READER_URL": database.url("checks_two", OTHER)}
    for _ in range(2):
        made = database.create(**given)
        assert made.returncode == 0, made.stderr
    query(given["DATABASE_URL"], "create table consults (id int)", "insert into consults values (7)")
    assert query(given["READER_URL"], "select id from consults") == [(7,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(given["READER_URL"], "insert into consults values (8)")


@pytest.mark.parametrize(
    ("user", "password"),
    [("api'; drop role x; --", "canary"), ("api", "per%40cent"), ("api", "two:parts"), ("api", "")],
)
def test_unusual_names_are_refused_before_anything_is_done(database: Database, user: str, password: str) -> None:
    refused = database.create(DATABASE_URL=database.url(user, password))
    assert refused.returncode == 4
    assert "letters, digits, - and _" in refused.stderr
    assert not password or f" {password}" not in refused.stderr


def test_wrong_master_password_fails(database: Database) -> None:
    failed = database.create(DATABASE_URL=database.url("telehealth_three", PASSWORD), PGPASSWORD="wrong")
    assert failed.returncode != 0
    assert "password authentication failed" in failed.stderr
