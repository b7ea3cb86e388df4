"""The operations under /consults. A consult that is another user's is, to the caller, none."""

import re
import uuid

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.auth import Auth
from app.cursors import decode_cursor, encode_cursor
from app.problems import Problem
from app.schemas import NEW_CONSULT, format_time, parse_time, read_body
from app.store import Consult, NewConsult, Position, Store
from app.tokens import unauthorised

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PRIVATE = {"Cache-Control": "no-store"}  # health records stay out of every cache on the way


class Consults:
    """List, book, read, cancel."""

    def __init__(self, store: Store, auth: Auth) -> None:
        self._store = store
        self._auth = auth

    async def list(self, request: Request) -> Response:
        """GET /consults?limit=&cursor="""
        token = await self._auth.identify(request)
        limit = _limit(request.query_params.get("limit"))
        cursor = request.query_params.get("cursor")
        after = None if cursor is None else decode_cursor(cursor)
        rows = await self._store.page(token.user, limit + 1, after)  # one more tells whether there is a next page
        page = rows[:limit]
        more = len(rows) > limit
        next_cursor = encode_cursor(Position(page[-1].created_at, page[-1].id)) if more else None
        return JSONResponse({"items": [_json(row) for row in page], "next_cursor": next_cursor}, headers=_PRIVATE)

    async def create(self, request: Request) -> Response:
        """POST /consults"""
        token = await self._auth.identify(request)
        body = await read_body(request, NEW_CONSULT)
        new = NewConsult(body["patient"], body["reason"], parse_time(body["starts_at"]), body.get("notes"))
        created = await self._store.create(token.user, new)
        if created is None:
            raise unauthorised("the user is gone", error="invalid_token")
        return JSONResponse(_json(created), 201, {**_PRIVATE, "Location": f"/consults/{created.id}"})

    async def read(self, request: Request) -> Response:
        """GET /consults/{id}"""
        token = await self._auth.identify(request)
        found = await self._store.read(token.user, _id(request))
        if found is None:
            raise Problem(404, "no such consult")
        return JSONResponse(_json(found), headers=_PRIVATE)

    async def delete(self, request: Request) -> Response:
        """DELETE /consults/{id}"""
        token = await self._auth.identify(request)
        if not await self._store.delete(token.user, _id(request)):
            raise Problem(404, "no such consult")
        return Response(status_code=204)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= LARGEST_LIMIT:
        raise Problem(422, f"limit: must be an integer from 1 to {LARGEST_LIMIT}")
    return int(text)


def _id(request: Request) -> uuid.UUID:
    text = request.path_params["id"]
    if not _UUID.fullmatch(text):
        raise Problem(404, "no such consult")
    return uuid.UUID(text)


def _json(consult: Consult) -> dict[str, object]:
    return {
        "id": str(consult.id),
        "patient": consult.patient,
        "reason": consult.reason,
        "starts_at": format_time(consult.starts_at),
        "status": consult.status,
        "notes": consult.notes,
        "created_at": format_time(consult.created_at),
    }
