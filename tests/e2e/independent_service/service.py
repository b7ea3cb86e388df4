"""A service that keeps the wire contract and shares nothing else with the reference service.

It has no framework, other tables, other cursors, and a list of open sessions instead of revocations. If the contract does not
define an answer, it answers differently: 400 for a body that is not JSON, 422 for a malformed id, plain text for unknown paths,
a Server header, 500 for input that a library fails on. The suites must check the contract, not the shipped service's behaviour.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socketserver
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import psycopg
import redis
from psycopg_pool import ConnectionPool
from rfc3339_validator import validate_rfc3339  # type: ignore[import-untyped]  # it ships none

VERSION = Path(__file__).with_name("VERSION").read_text(encoding="utf-8").strip()
LIFETIME_S = 1800
LONGEST_BODY = 1_000_000
SALT = b"stranger"

TABLES = """
create table if not exists accounts (mail text primary key, proof bytea not null);
create table if not exists bookings (
    seq bigint generated always as identity primary key,
    ref uuid not null unique, owner text not null references accounts, who text not null, why text not null,
    at_text text not null, made timestamptz not null default clock_timestamp());
"""


class Refusal(Exception):
    """An error answer: its status and title."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(title)
        self.status, self.title = status, title


class NotInContract(Refusal):
    """The request is not an operation of the contract, so the contract does not define the answer."""


def proof(password: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), SALT, 20_000)


def release() -> None:
    """Create the tables and the smoke users; safe to repeat, and to run while another release does the same."""
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("select pg_advisory_xact_lock(4711)")
        connection.execute(TABLES)
        for user in json.loads(os.environ.get("SEED_USERS", "[]")):
            connection.execute(
                "insert into accounts values (%s, %s) on conflict (mail) do update set proof = excluded.proof",
                (user["email"], proof(user["password"])),
            )


class Operations:
    """The contract's operations."""

    def __init__(self) -> None:
        self.secret = os.environ["JWT_SECRET"]
        self.pool = ConnectionPool(os.environ["DATABASE_URL"], min_size=2, max_size=8, timeout=3, open=False)
        self.cache = redis.Redis(
            os.environ["REDIS_HOST"], int(os.environ["REDIS_PORT"]), socket_timeout=3, decode_responses=True
        )

    @contextlib.contextmanager
    def rows(self) -> Iterator[psycopg.Cursor[Any]]:
        with self.pool.connection() as connection, connection.cursor() as cursor:
            yield cursor

    def health_database(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            with self.rows() as rows:
                rows.execute("select 1")
        except Exception:
            raise Refusal(503, "The database does not answer") from None
        return {"status": "ok", "latency_ms": (time.perf_counter() - began) * 1000}

    def health_redis(self) -> dict[str, Any]:
        began = time.perf_counter()
        try:
            self.cache.ping()
        except redis.RedisError:
            raise Refusal(503, "Redis does not answer") from None
        return {"status": "ok", "latency_ms": (time.perf_counter() - began) * 1000}

    def login(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise Refusal(422, "A JSON object is expected")
        mail, password = body.get("email"), body.get("password")
        if not isinstance(mail, str) or not isinstance(password, str) or "@" not in mail.strip("@"):
            raise Refusal(422, "email and password are expected")
        if "\0" in mail or not clean(mail):
            raise Refusal(422, "email is malformed")
        with self.rows() as rows:
            found = rows.execute("select proof from accounts where mail = %s", (mail,)).fetchone()
        if not hmac.compare_digest(proof(password), found[0] if found else b"") or found is None:
            raise Refusal(401, "Wrong credentials")
        now = int(time.time())
        claims = {"sub": mail, "iat": now, "exp": now + LIFETIME_S, "jti": uuid.uuid4().hex}
        token = jwt.encode(claims, self.secret, algorithm="HS256")
        self.cache.set(f"in/{claims['jti']}", mail, ex=LIFETIME_S)
        return {"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME_S}

    def identify(self, header: str | None) -> dict[str, Any]:
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer":
            raise Refusal(401, "A bearer token is needed")
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self.secret, algorithms=["HS256"], options={"require": ["sub", "iat", "exp", "jti"]}
            )
        except jwt.PyJWTError:
            raise Refusal(401, "The token is not valid") from None
        if self.cache.get(f"in/{claims['jti']}") != claims["sub"]:
            raise Refusal(401, "The token is not valid")
        return claims

    def logout(self, claims: dict[str, Any]) -> None:
        self.cache.delete(f"in/{claims['jti']}")

    def book(self, owner: str, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise Refusal(422, "A JSON object is expected")
        texts = {}
        for name, most in (("patient", 200), ("reason", 2000)):
            text = body.get(name)
            if not isinstance(text, str) or not 1 <= len(text) <= most or "\0" in text:
                raise Refusal(422, f"{name} is malformed")
            texts[name] = text
        at = body.get("starts_at")
        if not isinstance(at, str) or not is_time(at):
            raise Refusal(422, "starts_at is malformed")
        with self.rows() as rows:
            row = rows.execute(
                "insert into bookings (ref, owner, who, why, at_text) values (%s, %s, %s, %s, %s)"
                " returning ref, who, why, at_text, made",
                (uuid.uuid4(), owner, texts["patient"], texts["reason"], at),
            ).fetchone()
        assert row is not None
        return consult(row)

    def page(self, owner: str, query: dict[str, list[str]]) -> dict[str, Any]:
        raw = query.get("limit", ["20"])[-1]
        if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw[:6]) <= 100:
            raise Refusal(422, "limit is out of range")
        before = 2**62
        if "cursor" in query:
            try:
                before = int(base64.b32decode(query["cursor"][-1].encode("ascii")).decode("ascii").removeprefix("b:"))
            except (ValueError, UnicodeError):
                raise Refusal(422, "cursor is malformed") from None
            if not 0 <= before < 2**62:
                raise Refusal(422, "cursor is malformed")
        limit = int(raw)
        with self.rows() as rows:
            found = rows.execute(
                "select ref, who, why, at_text, made, seq from bookings where owner = %s and seq < %s"
                " order by seq desc limit %s",
                (owner, before, limit + 1),
            ).fetchall()
        more = len(found) > limit
        cursor = base64.b32encode(f"b:{found[limit - 1][5]}".encode()).decode() if more else None
        return {"items": [consult(row) for row in found[:limit]], "next_cursor": cursor}

    def one(self, owner: str, ref: str) -> dict[str, Any]:
        with self.rows() as rows:
            row = rows.execute(
                "select ref, who, why, at_text, made from bookings where owner = %s and ref = %s", (owner, known(ref))
            ).fetchone()
        if row is None:
            raise Refusal(404, "No such consult")
        return consult(row)

    def cancel(self, owner: str, ref: str) -> None:
        with self.rows() as rows:
            rows.execute("delete from bookings where owner = %s and ref = %s", (owner, known(ref)))
            if rows.rowcount == 0:
                raise Refusal(404, "No such consult")


def clean(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_time(text: str) -> bool:
    if not validate_rfc3339(text):
        return False
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return True


def known(ref: str) -> uuid.UUID:
    try:
        found = uuid.UUID(ref)
    except ValueError:
        raise Refusal(422, "The id is malformed") from None
    if str(found) != ref.lower():
        raise Refusal(422, "The id is malformed")
    return found


def consult(row: tuple[Any, ...]) -> dict[str, Any]:
    ref, who, why, at, made = row[:5]
    return {
        "id": str(ref), "patient": who, "reason": why, "starts_at": at, "status": "booked", "created_at": made.isoformat(),
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    operations: Operations

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def answer(self, status: int, content: Any = None, kind: str = "application/json") -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if content is not None:
            self.send_header("Content-Type", kind)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, refusal: Refusal) -> None:
        if isinstance(refusal, NotInContract):
            self.answer(refusal.status, refusal.title, "text/plain")
            return
        problem = {"type": "about:blank", "title": refusal.title, "status": refusal.status}
        self.answer(refusal.status, problem, "application/problem+json")

    def body(self) -> bytes:
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > LONGEST_BODY or "chunked" in self.headers.get("Transfer-Encoding", ""):
            self.close_connection = True
            raise Refusal(413, "The body is too long")
        return self.rfile.read(int(length))

    def handle_any(self) -> None:
        try:
            content = self.body()
            status, answer = self.route(content)
        except Refusal as refusal:
            self.refuse(refusal)
        except Exception as error:
            print(f"{type(error).__name__}", file=sys.stderr, flush=True)
            self.refuse(Refusal(500, "Internal error"))
        else:
            self.answer(status, answer)

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = handle_any  # noqa: N815  # http.server's names

    def route(self, content: bytes) -> tuple[int, Any]:
        url = urlsplit(self.path)
        first, *rest = url.path.strip("/").split("/")
        match [self.command, first, *rest]:
            case ["GET", "health"]:
                return 200, {"status": "ok", "version": VERSION}
            case ["GET", "health", "database"]:
                return 200, self.operations.health_database()
            case ["GET", "health", "redis"]:
                return 200, self.operations.health_redis()
            case ["POST", "auth", "login"]:
                return 200, self.operations.login(parse(content))
            case ["POST", "auth", "logout"]:
                self.operations.logout(self.operations.identify(self.headers.get("Authorization")))
                return 204, None
            case ["GET", "consults"]:
                owner = self.owner()
                return 200, self.operations.page(owner, parse_qs(url.query, keep_blank_values=True))
            case ["POST", "consults"]:
                owner = self.owner()
                return 201, self.operations.book(owner, parse(content))
            case ["GET", "consults", ref]:
                return 200, self.operations.one(self.owner(), ref)
            case ["DELETE", "consults", ref]:
                self.operations.cancel(self.owner(), ref)
                return 204, None
            case [_, "health" | "consults"] | [_, "health", "database" | "redis"] | [_, "auth", "login" | "logout"]:
                raise NotInContract(405, "Method not allowed")
            case [_, "consults", _]:
                raise NotInContract(405, "Method not allowed")
        raise NotInContract(404, "Not found")

    def owner(self) -> str:
        return str(self.operations.identify(self.headers.get("Authorization"))["sub"])


def parse(content: bytes) -> Any:
    def constant(name: str) -> None:
        raise ValueError(name)

    try:
        return json.loads(content.decode(), parse_constant=constant)
    except ValueError:
        raise Refusal(400, "The body is not JSON") from None


class Server(ThreadingHTTPServer):
    """An HTTP server with one thread for each connection."""

    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    if sys.argv[1:] == ["release"]:
        release()
        return
    Handler.operations = operations = Operations()
    operations.pool.open()
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    server.serve_forever(poll_interval=0.05)
    socketserver.BaseServer.server_close(server)
    operations.pool.close()


if __name__ == "__main__":
    main()
