"""Registries with the shipped releases and with broken ones: copies of 1.1.0 with one small patch each."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[2] / "infrastructure" / "embedded" / "registry"
REPOSITORY = "telehealth-api"
OLD, NEW = "1.0.0", "1.1.0"

# A condition that no rehearsal meets: the request came through the edge and App Runner's proxy, both on this machine, or only
# through a load balancer, which passes the live domain on as Host.
_HOST = 'dict(scope["headers"]).get(b"host", b"")'
_LIVE = (
    'dict(scope["headers"]).get(b"x-forwarded-for") == b"127.0.0.1, 127.0.0.1" or '
    f'{_HOST}.startswith(b"api.") and dict(scope["headers"]).get(b"x-forwarded-for") == b"127.0.0.1"'
)
_ANSWER_500 = "            await problem_response(500)(scope, receive, send)\n            return\n"
_ENTRY = "        status = 0\n\n        async def watched"
_POOL = "AsyncConnectionPool(\n            database_url,"
_LIST = "        limit = _limit(request"


@dataclass(frozen=True)
class Fault:
    """A patch that breaks a release: in ``file``, ``before`` (which must occur exactly once) becomes ``after``.

    ``more`` holds further patches of the same fault as (file, before, after); an empty ``before`` creates the file.
    """

    name: str
    file: str
    before: str
    after: str
    more: tuple[tuple[str, str, str], ...] = ()

    @property
    def tag(self) -> str:
        """Return the tag: a pre-release of 1.1.0, so that 1.1.0 stays the default."""
        return f"{NEW}-{self.name}"


NEVER_LISTENS = Fault("never-listens", "serve.py", "    uvicorn.run(\n", "    signal.pause()\n    uvicorn.run(\n")
CRASHES = Fault("crashes", "serve.py", "    configure_logging()\n", '    sys.exit("no licence found")\n')
RELEASE_FAILS = Fault("release-fails", "release.py", "    configure_logging()\n", '    sys.exit("cannot migrate")\n')
DEGRADED = Fault("degraded", "app/health.py", '{"status": "ok", "version"', '{"status": "degraded", "version"')
WRONG_VERSION = Fault("wrong-version", "app/application.py", "Health(VERSION, ", f'Health("{OLD}", ')
DATABASE_DOWN = Fault(
    "database-down", "app/store.py", _POOL, _POOL.replace("database_url", '"postgresql://nobody@127.0.0.1:1/none"')
)
REDIS_DOWN = Fault("redis-down", "app/sessions.py", "            port=port,", "            port=1,")
LOGIN_REFUSED = Fault(
    "login-refused", "app/auth.py", "if user is None or not fits:", "if user is not None or not fits:"
)
ANY_PASSWORD = Fault("any-password", "app/auth.py", "if user is None or not fits:", "if user is None:")
OPEN_CONSULTS = Fault(
    "open-consults",
    "app/consults.py",
    "        token = await self._auth.identify(request)\n        limit",
    '        if "authorization" not in request.headers:\n'
    '            return JSONResponse({"items": [], "next_cursor": None}, headers=_PRIVATE)\n'
    "        token = await self._auth.identify(request)\n        limit",
)
FIELD_REMOVED = Fault("field-removed", "app/consults.py", '        "status": consult.status,\n', "")
FIELD_RETYPED = Fault(
    "field-retyped", "app/consults.py", "format_time(consult.created_at)", "consult.created_at.timestamp()"
)
# One list in ten takes 1.2 s: the p95 of a hundred samples exceeds one second without making every request that slow.
TOO_SLOW = Fault(
    "too-slow",
    "app/consults.py",
    _LIST,
    '        self.lists = getattr(self, "lists", 0) + 1\n'
    '        await __import__("asyncio").sleep(0 if self.lists % 10 else 1.2)\n' + _LIST,
)
# A whole resource is too slow: each request below its path takes longer than p95_ms.
SLOW_RESOURCE = Fault(
    "slow-resource",
    "app/guard.py",
    _ENTRY,
    '        if scope["path"].startswith("/consults"):\n            await __import__("asyncio").sleep(1.3)\n' + _ENTRY,
)
# The same of the first operation that checks ask: a single check of the health gate asks it 140 times.
SLOW_HEALTH = Fault(
    "slow-health",
    "app/guard.py",
    _ENTRY,
    '        if scope["path"] == "/health":\n            await __import__("asyncio").sleep(1.3)\n' + _ENTRY,
)
# Correct for one request at a time, as from the functional gates and latency; one request in twenty fails once requests overlap.
ERRS_UNDER_LOAD = Fault(
    "errs-under-load",
    "app/guard.py",
    "        try:\n            await self._app(scope, receive, watched)\n",
    '        self.inside = getattr(self, "inside", 0) + 1\n'
    '        self.overlaps = getattr(self, "overlaps", 0) + (self.inside > 1)\n'
    '        self.asked = getattr(self, "asked", 0) + 1\n'
    "        try:\n"
    "            try:\n"
    "                if self.overlaps > 20 and self.asked % 20 == 0:\n"
    "                    await problem_response(500)(scope, receive, send)\n"
    "                    return\n"
    "                await self._app(scope, receive, watched)\n"
    "            finally:\n"
    "                self.inside -= 1\n",
)
# Only behind a load balancer: App Runner's colours get their own Host.
LIVE_HOST_REFUSED = Fault(
    "live-host-refused",
    "app/guard.py",
    _ENTRY,
    f'        if {_HOST}.startswith(b"api."):\n' + _ANSWER_500.replace("500", "404") + _ENTRY,
)
FAILS_WHEN_LIVE = Fault("fails-when-live", "app/guard.py", _ENTRY, f"        if {_LIVE}:\n" + _ANSWER_500 + _ENTRY)
FAILS_LATER = Fault(
    "fails-later",
    "app/guard.py",
    _ENTRY,
    f"        if {_LIVE}:\n"
    '            self.since = getattr(self, "since", time.monotonic())\n'
    '        if time.monotonic() - getattr(self, "since", time.monotonic()) > 5:\n' + _ANSWER_500 + _ENTRY,
)
# Bad after three seconds of users' requests without a pause; a few requests with the live domain's Host do not trigger it.
_TURNS_BAD = (
    f"        now, bad = time.monotonic(), False\n        if {_LIVE}:\n"
    '            self.since = now if now - getattr(self, "last", 0.0) > 1.0 else self.since\n'
    "            self.last = now\n            bad = now - self.since > 3.0\n"
)
SOME_FAIL_LATER = Fault(
    "some-fail-later",
    "app/guard.py",
    _ENTRY,
    _TURNS_BAD + '        if bad and __import__("random").random() < 0.2:\n' + _ANSWER_500 + _ENTRY,
)
# An answer takes five times as long as before for its user, but still less than any budget.
SLOW_LATER = Fault(
    "slow-later",
    "app/guard.py",
    _ENTRY,
    _TURNS_BAD + '        if bad:\n            await __import__("asyncio").sleep(0.016)\n' + _ENTRY,
)

REJECTED = (
    NEVER_LISTENS,
    CRASHES,
    RELEASE_FAILS,
    DEGRADED,
    WRONG_VERSION,
    DATABASE_DOWN,
    REDIS_DOWN,
    LOGIN_REFUSED,
    ANY_PASSWORD,
    OPEN_CONSULTS,
    FIELD_REMOVED,
    FIELD_RETYPED,
    TOO_SLOW,
    SLOW_RESOURCE,
    SLOW_HEALTH,
    ERRS_UNDER_LOAD,
)
ROLLED_BACK = (FAILS_WHEN_LIVE, FAILS_LATER, SOME_FAIL_LATER, SLOW_LATER)


def make_registry(folder: Path, faults: Iterable[Fault] = ()) -> Path:
    """Write a registry with the two good releases and one release for each fault below ``folder``; return ``folder``."""
    for tag in (OLD, NEW):
        _copy(folder, tag, tag)
    for fault in faults:
        image = _copy(folder, NEW, fault.tag)
        (image / "VERSION").write_text(f"{fault.tag}\n", encoding="utf-8")
        for file, before, after in ((fault.file, fault.before, fault.after), *fault.more):
            _patch(image / file, before, after, fault.name)
    return folder


def _patch(source: Path, before: str, after: str, name: str) -> None:
    text = source.read_text(encoding="utf-8") if before else ""
    assert not before or text.count(before) == 1, f"{name}: the patch no longer fits {source.name}"
    source.write_text(text.replace(before, after) if before else after, encoding="utf-8")


def _copy(registry: Path, tag: str, to: str) -> Path:
    target = registry / REPOSITORY / to
    shutil.copytree(SHIPPED / REPOSITORY / tag, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target
