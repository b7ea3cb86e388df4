"""Releases whose answers violate the contract, or that do not do what they answer."""

from __future__ import annotations

from tests.gates.faults import GateFault, gate_fault

_CONSULTS, _STORE, _SCHEMAS, _PROBLEMS = "app/consults.py", "app/store.py", "app/schemas.py", "app/problems.py"
_RETURN_CREATED = "        return JSONResponse(_json(created), 201"
_PAGE = "        page = rows[:limit]"
_CURSOR = '        cursor = request.query_params.get("cursor")'
_NEW = 'NewConsult(body["patient"], body["reason"], parse_time(body["starts_at"])'
_NOT_JSON = '        raise Problem(422, "the body is not a JSON document in UTF-8") from None'
_NOT_FOUND = "    return problem_response(error.status_code, headers=error.headers)"
_VALUES = "VALUES (%s, %s, %s, %s, %s)"


def _one(name: str, file: str, before: str, after: str, *words: str) -> GateFault:
    return gate_fault("endpoints", name, file, before, after, *words)


def _json(name: str, before: str, after: str, *words: str) -> GateFault:
    """Return a fault in how a consult is shown."""
    return _one(name, _CONSULTS, before, after, *words)


SHAPES = (
    _json("field-renamed", '        "patient": consult.patient', '        "patient_name": consult.patient', "patient"),
    _json("field-null", '"reason": consult.reason', '"reason": consult.reason or None if consult.notes else None'),
    _json("time-without-zone", "format_time(consult.starts_at)", "format_time(consult.starts_at)[:19]", "date-time"),
    _json(
        "time-with-a-blank", "format_time(consult.created_at)", 'format_time(consult.created_at).replace("T", " at ")'
    ),
    _json("id-without-dashes", "str(consult.id),", "consult.id.hex,", "uuid"),
    _json("status-unknown", '"status": consult.status', '"status": consult.status.upper()', "status"),
    _json(
        "created-in-another-zone",
        "format_time(consult.created_at)",
        'format_time(consult.created_at + __import__("datetime").timedelta(hours=5))',
        "created_at",
    ),
    _json(
        "list-lacks-a-field",
        "[_json(row) for row in page]",
        '[{k: v for k, v in _json(row).items() if k != "reason"} for row in page]',
        "reason",
    ),
    _json("cursor-renamed", '"next_cursor": next_cursor', '"nextCursor": next_cursor', "next_cursor"),
    _one("health-latency-text", "app/health.py", '"latency_ms": latency_ms', '"latency_ms": str(latency_ms)'),
)
LISTS = (
    _one("oldest-first", _CONSULTS, _PAGE, _PAGE + "[::-1]"),
    _one(
        "by-appointment",
        _CONSULTS,
        _PAGE,
        "        page = sorted(rows[:limit], key=lambda row: row.starts_at, reverse=True)",
    ),
    _one("limit-ignored", _CONSULTS, _CURSOR, "        limit = DEFAULT_LIMIT\n" + _CURSOR, "limit"),
    _one("limit-one-too-many", _CONSULTS, _PAGE, "        page = rows"),
    _one("default-limit-wrong", _CONSULTS, "DEFAULT_LIMIT = 20", "DEFAULT_LIMIT = 10", "20"),
    _one("limit-unbounded", _CONSULTS, "LARGEST_LIMIT = 100", "LARGEST_LIMIT = 500", "101"),
    _one("largest-limit-refused", _CONSULTS, "LARGEST_LIMIT = 100", "LARGEST_LIMIT = 50", "100"),
    _one("cursor-ignored", _CONSULTS, "None if cursor is None else decode_cursor(cursor)", "None"),
    _one("cursor-repeats", _STORE, "(created_at, id) < (%s, %s)", "(created_at, id) <= (%s, %s)", "twice"),
    _one(
        "cursor-skips",
        _CONSULTS,
        "encode_cursor(Position(page[-1].created_at, page[-1].id))",
        "encode_cursor(Position(rows[limit].created_at, rows[limit].id))",
    ),
    _one("pages-never-end", _CONSULTS, "if more else None", "if page else None", "next_cursor"),
    _one("pages-end-early", _CONSULTS, "more = len(rows) > limit", "more = False", "next_cursor"),
    _one(
        "list-is-stale",
        _CONSULTS,
        "rows = await self._store.page(token.user, limit + 1, after)  #",
        'rows = globals().setdefault("_old", {}).setdefault(\n'
        "            (token.user, limit, cursor), await self._store.page(token.user, limit + 1, after))  #",
    ),
)
WRITES = (
    _one(
        "create-is-forgotten",
        _CONSULTS,
        _RETURN_CREATED,
        "        await self._store.delete(token.user, created.id)\n" + _RETURN_CREATED,
    ),
    _one("create-answers-200", _CONSULTS, "JSONResponse(_json(created), 201", "JSONResponse(_json(created), 200"),
    _one("text-cut-off", _STORE, _VALUES, "VALUES (%s, left(%s, 50), %s, %s, %s)", "patient"),
    _one("text-trimmed", _CONSULTS, _NEW, _NEW.replace('body["reason"]', 'body["reason"].strip()'), "reason"),
    _one(
        "text-in-ascii",
        _CONSULTS,
        _NEW,
        _NEW.replace('body["reason"]', 'body["reason"].encode("ascii", "replace").decode()'),
        "reason",
    ),
    _one(
        "text-escaped",
        _CONSULTS,
        _NEW,
        _NEW.replace('body["reason"]', '__import__("html").escape(body["reason"])'),
        "reason",
    ),
    _one(
        "zone-dropped",
        _SCHEMAS,
        "datetime.fromisoformat(text.upper()).astimezone(UTC)",
        "datetime.fromisoformat(text.upper()).replace(tzinfo=UTC)",
        "starts_at",
    ),
    _one(
        "echo-is-not-what-is-stored",
        _CONSULTS,
        "        created = await self._store.create(token.user, new)",
        '        created = await self._store.create(token.user, __import__("dataclasses").replace(new, patient="P"))\n'
        '        created = created and __import__("dataclasses").replace(created, patient=new.patient)',
        "patient",
    ),
    _one(
        "delete-does-nothing",
        _CONSULTS,
        "if not await self._store.delete(token.user, _id(request)):",
        "if await self._store.read(token.user, _id(request)) is None:",
    ),
    _one(
        "delete-takes-all",
        _STORE,
        '_DELETE = "DELETE FROM consults WHERE user_id = %s AND id = %s"',
        "_DELETE = \"DELETE FROM consults WHERE user_id = %s AND (id = %s OR created_at > now() - interval '5s')\"",
    ),
    _one(
        "delete-twice",
        _CONSULTS,
        "        if not await self._store.delete(token.user, _id(request)):\n"
        '            raise Problem(404, "no such consult")\n',
        "        await self._store.delete(token.user, _id(request))\n",
    ),
    _one(
        "delete-hides-the-row",
        _STORE,
        '_DELETE = "DELETE FROM consults WHERE user_id = %s AND id = %s"',
        "_DELETE = \"UPDATE consults SET status = 'completed' WHERE user_id = %s AND id = %s\"",
    ),
)
REFUSALS = (
    _one(
        "404-is-403",
        _CONSULTS,
        "        if found is None:\n            raise Problem(404",
        "        if found is None:\n            raise Problem(403",
        "403",
    ),
    _one(
        "404-is-null",
        _CONSULTS,
        '        if found is None:\n            raise Problem(404, "no such consult")',
        "        if found is None:\n            return JSONResponse(None)",
    ),
    _one(
        "422-is-400",
        _SCHEMAS,
        "raise Problem(422, _broken_rule(error))",
        "raise Problem(400, _broken_rule(error))",
        "400",
    ),
    _one("problem-as-json", _PROBLEMS, 'media_type="application/problem+json"', 'media_type="application/json"'),
    _one("problem-says-another-status", _PROBLEMS, '"status": status}', '"status": 400}', "status"),
    _one("problem-without-title", _PROBLEMS, '"title": HTTPStatus(status).phrase, ', "", "title"),
    _one(
        "shows-a-trace",
        _SCHEMAS,
        _NOT_JSON,
        _NOT_JSON.replace('"the body is not a JSON document in UTF-8"', '__import__("traceback").format_exc()'),
        "trace",
    ),
    _one(
        "shows-a-dsn",
        "app/cursors.py",
        '"cursor: not one that this service gave"',
        '"not in " + __import__("os").environ["DATABASE_URL"]',
        "connection string",
    ),
    _one(
        "shows-a-path",
        _SCHEMAS,
        'return f"{where}: {error.validator}"',
        'return f"{where}: {error.validator} ({__file__})"',
        "path",
    ),
    _one(
        "shows-sql",
        "app/cursors.py",
        '"cursor: not one that this service gave"',
        "'syntax error at or near \"x\": SELECT id FROM consults WHERE id = 1'",
        "SQL",
    ),
    _one(
        "html-page-for-500",
        _SCHEMAS,
        _NOT_JSON,
        "        from starlette.exceptions import HTTPException\n\n        raise HTTPException(500) from None",
        "500",
    ),
    _one(
        "500-on-utf8",
        _SCHEMAS,
        "except (ValueError, RecursionError):",
        "except (json.JSONDecodeError, RecursionError):",
        "500",
    ),
    _one("500-on-depth", _SCHEMAS, "except (ValueError, RecursionError):", "except ValueError:", "500"),
    _one(
        "500-on-surrogates",
        _SCHEMAS,
        "        json.dumps(document, ensure_ascii=False).encode()  #",
        "        pass  #",
        "500",
    ),
    _one(
        "500-on-cursors",
        "app/cursors.py",
        "except (binascii.Error, ValueError, struct.error, OverflowError):",
        "except (binascii.Error, ValueError, struct.error):",
        "500",
    ),
    _one(
        "500-on-ids",
        _CONSULTS,
        '    if not _UUID.fullmatch(text):\n        raise Problem(404, "no such consult")\n',
        "",
        "500",
    ),
    _one("patient-unbounded", _SCHEMAS, '"maxLength": 200,', '"maxLength": 20000,', "201"),
    _one(
        "reason-may-be-empty",
        _SCHEMAS,
        '"reason": {"type": "string", "minLength": 1,',
        '"reason": {"type": "string",',
        "201",
    ),
    _one("takes-a-date-for-a-time", _SCHEMAS, 'FormatChecker(["email", "date-time"])', 'FormatChecker(["email"])'),
    _one("takes-numbers-for-text", _SCHEMAS, '"patient": {"type": "string", ', '"patient": {', "201"),
    _one(
        "unknown-path-is-a-page",
        _PROBLEMS,
        _NOT_FOUND,
        '    return Response("<!doctype html><title>telehealth</title>", media_type="text/html")',
        "404",
    ),
)
FAULTS = (*SHAPES, *LISTS, *WRITES, *REFUSALS)
