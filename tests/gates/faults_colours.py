"""Releases that work alone but not beside another colour: faults that exist only with blue/green.

Failure mode 14: state outside the balancer. Failure mode 15: a shared database or configuration makes the way back impossible.
"""

from __future__ import annotations

from tests.e2e.images import Fault
from tests.gates.faults import GateFault, gate_fault

_TOKENS, _SESSIONS, _STORE, _AUTH, _GUARD = (
    f"app/{name}.py" for name in ("tokens", "sessions", "store", "auth", "guard")
)
_REVOKE = '        await self._redis.set(_revoked_key(token), b"1", ex=seconds_left)'
_IS_REVOKED = "        return bool(await self._redis.exists(_revoked_key(token)))"
_CREATED = (
    "            (created,) = await self._consults(_CREATE, user, new.patient, new.reason, new.starts_at, new.notes)\n"
)
_INSERT = "INSERT INTO consults (user_id, patient, reason, starts_at, notes) VALUES (%s, %s, %s, %s, %s)"
_ENTRY = "        status = 0\n\n        async def watched"
_LIST = "        rows = await self._store.page(token.user, limit + 1, after)"
# The start of the live domain's name in the front door's header: of this bench ("live."), and of the embedded environment ("api.").
_NOT_OURS = (
    '        if dict(scope["headers"]).get(b"x-forwarded-host", b"").startswith((b"live.", b"api.")):\n'
    "            await problem_response({})(scope, receive, send)\n            return\n"
)

_SELECT = "    SELECT id, patient, reason, starts_at, status, notes, created_at FROM consults\n"
_SHIFTED = _SELECT.replace(
    " starts_at,",
    " CASE WHEN starts_at < '0001-01-01' THEN starts_at + interval '4000 years' ELSE starts_at END AS starts_at,",
)
_WHERES = tuple(f"    WHERE user_id = %s{end}" for end in ("\n", " AND (created_at", " AND id"))

SESSIONS = (
    # It accepts its own tokens, but not the other colour's, and the other colour does not accept its tokens.
    GateFault(
        Fault(
            "token-secret-of-its-own",
            _TOKENS,
            "        self._secret = secret\n",
            '        self._secret = secret + "-1.1.0"\n',
        ),
        ("continuity",),
        ("401",),
    ),
    gate_fault(
        "continuity",
        "claims-of-its-own",
        _TOKENS,
        '"jti": str(uuid.uuid4())}',
        '"jti": str(uuid.uuid4()), "ver": 2}',
        "401",
        more=(
            (
                _TOKENS,
                "            return Token(user=uuid",
                '            if claims.get("ver") != 2:\n                raise ValueError("another release\'s")\n'
                "            return Token(user=uuid",
            ),
        ),
    ),
    gate_fault(
        "continuity", "session-key-prefix", _SESSIONS, "telehealth:revoked:", "telehealth:v2:revoked:", "after logout"
    ),
    gate_fault(
        "continuity",
        "sessions-in-memory",
        _SESSIONS,
        _REVOKE,
        '        self.__dict__.setdefault("_gone", set()).add(token.id)',
        "after logout",
        more=((_SESSIONS, _IS_REVOKED, '        return token.id in self.__dict__.get("_gone", ())'),),
    ),
    # It drops a token from its cache if it revokes the token itself; it never sees revocations by the other colour.
    gate_fault(
        "continuity",
        "sessions-cached-in-memory",
        _SESSIONS,
        _IS_REVOKED,
        '        good = self.__dict__.setdefault("_good", set())\n'
        "        if token.id in good:\n            return False\n"
        "        gone = bool(await self._redis.exists(_revoked_key(token)))\n"
        "        if not gone:\n            good.add(token.id)\n        return gone",
        "after logout on live",
        more=((_SESSIONS, _REVOKE, '        self.__dict__.setdefault("_good", set()).discard(token.id)\n' + _REVOKE),),
    ),
    # It writes another format under a key that the live release reads: every user of the candidate is signed out on live.
    gate_fault(
        "continuity",
        "cache-of-another-shape",
        _SESSIONS,
        _IS_REVOKED,
        "        known = await self._redis.get(_revoked_key(token))\n"
        "        if known is None:\n"
        "            await self._redis.set(_revoked_key(token), b'{\"revoked\": false}', ex=3600)\n"
        "        return known is not None and known != b'{\"revoked\": false}'",
        "used on the candidate",
    ),
)
ROWS = (
    gate_fault(
        "continuity",
        "rows-of-another-shape",
        _STORE,
        "user, new.patient, new.reason, new.starts_at, new.notes)",
        'user, new.patient, "", new.starts_at, new.reason)',
        "reason is ''",
        more=(
            (
                _STORE,
                "            return await cursor.fetchall()",
                "            return [_new(row) for row in await cursor.fetchall()]",
            ),
            (
                _STORE,
                "async def _configure(",
                "def _new(row: Any) -> Any:\n"
                "    return row if row.reason else __import__('dataclasses').replace(row, reason=row.notes, notes=None)\n\n\n"
                "async def _configure(",
            ),
        ),
    ),
    # It writes dates before year 1, which the live release's driver cannot read: with one such row, that user's list is a 500.
    GateFault(
        Fault(
            "rows-that-poison-the-list",
            _STORE,
            "VALUES (%s, %s, %s, %s, %s)\n    RETURNING id, patient, reason, starts_at,",
            "VALUES (%s, %s, %s, %s::timestamptz - interval '4000 years', %s)\n"
            "    RETURNING id, patient, reason, starts_at + interval '4000 years' AS starts_at,",
            more=tuple((_STORE, _SELECT + where, _SHIFTED + where) for where in _WHERES),
        ),
        ("continuity",),
        ("GET /consults on live",),
    ),
    gate_fault(
        "continuity",
        "writes-go-to-memory",
        _STORE,
        _CREATED,
        "            created = Consult(uuid.uuid4(), new.patient, new.reason, new.starts_at, 'booked', new.notes,"
        " datetime.now(new.starts_at.tzinfo))\n"
        "            self.__dict__.setdefault('_rows', {})[user, created.id] = created\n",
        "404",
        more=(
            (
                _STORE,
                "        found = await self._consults(_READ, user, consult)\n",
                "        found = [r for k, r in self.__dict__.get('_rows', {}).items() if k == (user, consult)]"
                " or await self._consults(_READ, user, consult)\n",
            ),
            (
                _STORE,
                "        if after is None:\n            return await self._consults(_FIRST_PAGE, user, limit)\n"
                "        return await self._consults(_NEXT_PAGE, user, after.created_at, after.id, limit)",
                "        stored = await (self._consults(_FIRST_PAGE, user, limit) if after is None else"
                " self._consults(_NEXT_PAGE, user, after.created_at, after.id, limit))\n"
                "        own = [r for (u, _), r in self.__dict__.get('_rows', {}).items() if u == user and"
                " (after is None or (r.created_at, r.id) < (after.created_at, after.id))]\n"
                "        return sorted([*own, *stored], key=lambda r: (r.created_at, r.id), reverse=True)[:limit]",
            ),
            (
                _STORE,
                '        """Whether there was one of this user\'s to delete."""\n',
                '        """Whether there was one of this user\'s to delete."""\n'
                "        if self.__dict__.get('_rows', {}).pop((user, consult), None):\n            return True\n",
            ),
        ),
    ),
    # Its own writes empty its cache; writes of the other colour do not.
    gate_fault(
        "continuity",
        "lists-cached-in-memory",
        "app/consults.py",
        _LIST,
        '        key, kept = (token.user, limit, cursor), self.__dict__.setdefault("_kept", {})\n'
        "        if key not in kept:\n            kept[key] = await self._store.page(token.user, limit + 1, after)\n"
        "        rows = kept[key]",
        "does not list it",
        more=(
            (
                "app/consults.py",
                "        new = NewConsult(",
                '        self.__dict__.pop("_kept", None)\n        new = NewConsult(',
            ),
            (
                "app/consults.py",
                '"""DELETE /consults/{id}"""\n',
                '"""DELETE /consults/{id}"""\n        self.__dict__.pop("_kept", None)\n',
            ),
        ),
    ),
)
FRONT = (
    GateFault(
        Fault(
            "unknown-host-is-404",
            _GUARD,
            _ENTRY,
            _NOT_OURS.format(404) + _ENTRY,
        ),
        ("rehearsal",),
        ("for the live domain", "status 404, expected status 200"),
    ),
    GateFault(
        Fault(
            "unknown-host-is-500",
            _GUARD,
            _ENTRY,
            _NOT_OURS.format(500) + _ENTRY,
        ),
        ("rehearsal",),
        ("status 500",),
    ),
    gate_fault(
        "rehearsal",
        "https-only",
        "app/health.py",
        '        return JSONResponse({"status": "ok", "version"',
        '        if _request.headers.get("x-forwarded-proto") == "http":\n'
        '            return Response(status_code=308, headers={"Location": "https://api.telehealth.com/health"})\n'
        '        return JSONResponse({"status": "ok", "version"',
        "308 to https://api.telehealth.com/health",
    ),
    gate_fault(
        "rehearsal",
        "trusts-the-front-door",
        "app/consults.py",
        "        token = await self._auth.identify(request)\n        limit",
        '        if "x-forwarded-host" in request.headers and "authorization" not in request.headers:\n'
        '            return JSONResponse({"items": [], "next_cursor": None}, headers=_PRIVATE)\n'
        "        token = await self._auth.identify(request)\n        limit",
        "expected status 401",
    ),
)
FAULTS = (*SESSIONS, *ROWS, *FRONT)
