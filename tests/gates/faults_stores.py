"""Releases that run another version, take more than their share of a store, leave data behind, or break the live colour's data."""

from __future__ import annotations

from tests.e2e.images import Fault
from tests.gates.faults import GateFault, gate_fault

_STORE, _HEALTH, _SESSIONS = "app/store.py", "app/health.py", "app/sessions.py"
_ANSWER = '        return JSONResponse({"status": "ok", "version"'
_DELETE = '_DELETE = "DELETE FROM consults WHERE user_id = %s AND id = %s"\n'
_READ_COMPLAINT = (
    '_FIRST_PAGE, _NEXT_PAGE, _READ = (one.replace(" reason,", " complaint AS reason,")'
    " for one in (_FIRST_PAGE, _NEXT_PAGE, _READ))\n"
    '_CREATE = _CREATE.replace("patient, reason, starts_at, notes)", "patient, complaint, starts_at, notes)")'
    '.replace("patient, reason", "patient, complaint AS reason")\n'
)
# Hides rows from lists and reads, as a release does that keeps rows that it was asked to delete.
_HIDE = (
    '_FIRST_PAGE, _NEXT_PAGE, _READ = (one.replace("WHERE ", "WHERE created_at > \'1901-01-01\' AND ")'
    " for one in (_FIRST_PAGE, _NEXT_PAGE, _READ))\n"
)
_SOFTLY = _DELETE.replace("DELETE FROM consults", "UPDATE consults SET created_at = '1900-01-01'").replace(
    'id = %s"', "id = %s AND created_at > '1901-01-01'\""
)


def _migrating(name: str, sql: str, after: str) -> GateFault:
    """Return a fault in the migration ``sql``; ``after`` goes before the DELETE statement and makes the release itself work."""
    more = ((f"migrations/0003_{name.replace('-', '_')}.sql", "", sql),)
    return GateFault(
        Fault(name, _STORE, _DELETE, after + _DELETE, more),
        ("bystander",),
        ("is harmed", "another migration"),
        migrates=True,
    )


IDENTITY = (
    # Like one of twenty instances that was not replaced, behind a load balancer that chooses an instance for each request.
    gate_fault(
        "health",
        "one-worker-of-twenty-is-old",
        _HEALTH,
        _ANSWER,
        '        if __import__("random").random() < 0.05:\n'
        '            return JSONResponse({"status": "ok", "version": "1.0.0"})\n' + _ANSWER,
        "version 1.0.0",
        "answers on fresh connections",
    ),
    # Right for the first gate, then replaced by another release.
    gate_fault(
        "health",
        "another-release-later",
        _HEALTH,
        _ANSWER,
        '        self.asked = getattr(self, "asked", 0) + 1\n'
        "        if self.asked > 300:\n"
        '            return JSONResponse({"status": "ok", "version": "1.0.0"})\n' + _ANSWER,
        "version 1.0.0",
    ),
)
SHARES = (
    gate_fault(
        "database",
        "pool-of-ninety",
        _STORE,
        "            min_size=1,\n            max_size=CONNECTIONS,",
        "            min_size=90,\n            max_size=90,",
        "connections, limit 40 (40%)",
    ),
    gate_fault(
        "database",
        "deletes-softly",
        _STORE,
        _DELETE,
        _HIDE + _SOFTLY,
        "still in the database, expected 0",
    ),
    gate_fault(
        "database",
        "keeps-a-copy",
        _STORE,
        _DELETE,
        _HIDE + _DELETE,
        "before the checks they had",
        more=(
            (
                _STORE,
                "        except psycopg.errors.ForeignKeyViolation:",
                "            async with self._pool.connection() as connection:\n"
                '                await connection.execute("INSERT INTO consults (user_id, patient, reason, starts_at,'
                " created_at) VALUES (%s, %s, %s, %s, '1900-01-01')\", (user, new.patient, new.reason, new.starts_at))\n"
                "        except psycopg.errors.ForeignKeyViolation:",
            ),
        ),
    ),
    gate_fault(
        "redis",
        "revoked-for-ever",
        _SESSIONS,
        'b"1", ex=seconds_left)',
        'b"1", ex=None if seconds_left else 1)',
        "-1: never",
    ),
    gate_fault(
        "redis",
        "revoked-for-a-minute",
        _SESSIONS,
        'b"1", ex=seconds_left)',
        'b"1", ex=min(60, seconds_left))',
        "the token in 3600 s",
    ),
)
_WAITS = "        await store.open()\n"
QUEUES = (
    # Both colours read one queue: a job that the candidate takes while it is under test is never done by live.
    gate_fault(
        "redis",
        "waits-for-live-s-jobs",
        "app/application.py",
        _WAITS,
        _WAITS + "        async def work() -> None:\n            while True:\n"
        '                await sessions._redis.blpop("telehealth:jobs", timeout=0.5)\n'
        '        sessions.work = __import__("asyncio").ensure_future(work())\n',
        "connections that take from queues in Redis: 1, before the release was brought up 0, limit 0",
        "takes jobs that are live's to do",
    ),
    gate_fault(
        "redis",
        "asks-for-live-s-jobs",
        "app/application.py",
        _WAITS,
        _WAITS
        + '        jobs = __import__("redis.asyncio").asyncio.Redis(host=settings.redis_host, port=settings.redis_port)\n'
        "        async def work() -> None:\n            while True:\n"
        '                await jobs.xreadgroup("workers", "me", {"telehealth:jobs": ">"})\n'
        '                await __import__("asyncio").sleep(1)\n'
        "        async def begin() -> None:\n"
        '            await jobs.delete("telehealth:jobs")\n'
        '            await jobs.xgroup_create("telehealth:jobs", "workers", mkstream=True)\n'
        "            await work()\n"
        '        sessions.work = __import__("asyncio").ensure_future(begin())\n',
        "takes jobs that are live's to do",
    ),
)
MIGRATIONS = (
    _migrating("renames-a-column", "ALTER TABLE consults RENAME COLUMN reason TO complaint;\n", _READ_COMPLAINT),
    _migrating(
        "drops-a-column",
        "ALTER TABLE consults ADD COLUMN complaint text;\nUPDATE consults SET complaint = reason;\n"
        "ALTER TABLE consults DROP COLUMN reason;\n",
        _READ_COMPLAINT,
    ),
    # Reads still work; only a booking through the old release is answered 500.
    _migrating(
        "wants-a-column",
        "ALTER TABLE consults ADD COLUMN clinic text NOT NULL DEFAULT 'main';\n"
        "ALTER TABLE consults ALTER COLUMN clinic DROP DEFAULT;\n",
        '_CREATE = _CREATE.replace("starts_at, notes)", "starts_at, notes, clinic)").replace("%s, %s)\\n", "%s, %s, \'main\')\\n")\n',
    ),
)
FAULTS = (*IDENTITY, *SHARES, *QUEUES, *MIGRATIONS)
