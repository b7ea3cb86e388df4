"""Signing in and out, and who is asking."""

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.passwords import Passwords
from app.schemas import CREDENTIALS, read_body
from app.sessions import Sessions
from app.store import Store
from app.tokens import LIFETIME_S, Token, Tokens, bearer_of, unauthorised


class Auth:
    """The operations under /auth, and `identify` for all others."""

    def __init__(self, store: Store, sessions: Sessions, tokens: Tokens, passwords: Passwords) -> None:
        self._store = store
        self._sessions = sessions
        self._tokens = tokens
        self._passwords = passwords

    async def identify(self, request: Request) -> Token:
        """The caller's token, verified and not revoked. Raises Problem (401)."""
        token = self._tokens.read(bearer_of(request))
        if await self._sessions.is_revoked(token):
            raise unauthorised("the token was revoked", error="invalid_token")
        return token

    async def login(self, request: Request) -> Response:
        """POST /auth/login; neither the answer nor its time tells whether the address or the password was wrong."""
        credentials = await read_body(request, CREDENTIALS)
        user = await self._store.user(credentials["email"].lower())
        fits = await self._passwords.verify(user.password_hash if user else None, credentials["password"])
        if user is None or not fits:
            raise unauthorised("wrong email or password")
        token = {"access_token": self._tokens.issue(user.id), "token_type": "Bearer", "expires_in": LIFETIME_S}
        return JSONResponse(token, headers={"Cache-Control": "no-store"})

    async def logout(self, request: Request) -> Response:
        """POST /auth/logout; revokes this token, on both colours."""
        token = await self.identify(request)
        # A caller who hangs up must not leave the token half revoked.
        await asyncio.shield(self._sessions.revoke(token))
        return Response(status_code=204)
