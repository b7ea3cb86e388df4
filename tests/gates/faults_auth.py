"""Releases that accept a caller whom they must refuse, or show another user's data."""

from __future__ import annotations

from tests.e2e.images import ANY_PASSWORD, LOGIN_REFUSED, OPEN_CONSULTS
from tests.gates.faults import GateFault, gate_fault

_TOKENS, _AUTH, _CONSULTS, _STORE = "app/tokens.py", "app/auth.py", "app/consults.py", "app/store.py"
_OPTIONS = '"verify_iat": False}'
_KEY = '                self._secret,\n                algorithms=["HS256"],'
_FITS = 'credentials["password"])\n        if'
_READ = '"""GET /consults/{id}"""\n        token = await self._auth.identify(request)'
_DELETE = '"""DELETE /consults/{id}"""\n        token = await self._auth.identify(request)'
_LOGOUT = "        token = await self.identify(request)\n        # A caller"


def _one(name: str, file: str, before: str, after: str, *words: str) -> GateFault:
    return gate_fault("auth", name, file, before, after, *words)


def _unless_signed_in(before: str, answer: str) -> str:
    """Patch an operation so that a request without a token gets ``answer``."""
    doc, line = before.split("\n", 1)
    return f'{doc}\n        if "authorization" not in request.headers:\n            return {answer}\n{line}'


PASSWORDS = (
    GateFault(LOGIN_REFUSED, ("auth",)),
    GateFault(ANY_PASSWORD, ("auth",)),
    _one("password-trimmed", _AUTH, _FITS, _FITS.replace(")", ".strip())"), "password"),
    _one(
        "failed-login-is-403",
        _AUTH,
        'raise unauthorised("wrong email or password")',
        'raise __import__("app.problems").problems.Problem(403, "no")',
        "403",
    ),
)
TOKENS = (
    GateFault(OPEN_CONSULTS, ("auth",)),
    _one("open-read", _CONSULTS, _READ, _unless_signed_in(_READ, "JSONResponse({})"), "without a token"),
    _one("open-delete", _CONSULTS, _DELETE, _unless_signed_in(_DELETE, "Response(status_code=204)"), "without a token"),
    _one(
        "open-logout",
        _AUTH,
        _LOGOUT,
        '        if "authorization" not in request.headers:\n            return Response(status_code=204)\n' + _LOGOUT,
        "without a token",
    ),
    _one("any-scheme", _TOKENS, 'scheme.lower() != "bearer" or ', ""),
    _one(
        "signature-ignored",
        _TOKENS,
        _OPTIONS,
        '"verify_iat": False, "verify_signature": False, "verify_exp": True}',
        "signed",
    ),
    _one(
        "alg-none-accepted",
        _TOKENS,
        _OPTIONS,
        '"verify_iat": False, "verify_signature": jwt.get_unverified_header(text)["alg"] != "none"}',
        "no signature",
    ),
    _one("expired-accepted", _TOKENS, _OPTIONS, '"verify_iat": False, "verify_exp": False}', "expired"),
    _one("lifetime-a-decade", _TOKENS, "LIFETIME_S = 3600", "LIFETIME_S = 10 * 365 * 86400", "s"),
    _one("lifetime-not-as-told", _AUTH, '"expires_in": LIFETIME_S', '"expires_in": LIFETIME_S // 2', "expires_in"),
    _one("issued-at-nought", _TOKENS, '"iat": now, ', '"iat": 0, ', "iat"),
    _one("jti-repeats", _TOKENS, '"jti": str(uuid.uuid4())', '"jti": f"{user}-{now // 600}"', "jti"),
    _one("token-type-unknown", _AUTH, '"token_type": "Bearer"', '"token_type": "JWT"', "token_type"),
    _one("401-is-403", _TOKENS, "return Problem(401, detail", "return Problem(403, detail", "403"),
)
SESSIONS = (
    _one(
        "logout-does-nothing",
        "app/sessions.py",
        "return bool(await self._redis.exists(_revoked_key(token)))",
        "return False",
    ),
    _one(
        "revoked-may-read",
        _CONSULTS,
        _READ,
        _READ.replace(
            "await self._auth.identify(request)",
            '__import__("app.auth").auth.Tokens(__import__("os").environ["JWT_SECRET"]).read(request.headers.get("authorization", "")[7:])',
        ),
        "revoked",
    ),
    _one(
        "logout-ends-all-sessions",
        "app/sessions.py",
        "hashlib.sha256(token.id.encode())",
        "hashlib.sha256(str(token.user).encode())",
    ),
)
OTHERS = (
    _one(
        "reads-anybody-s",
        _STORE,
        '    WHERE user_id = %s AND id = %s"""',
        '    WHERE (user_id = %s OR true) AND id = %s"""',
    ),
    _one(
        "deletes-anybody-s",
        _STORE,
        'consults WHERE user_id = %s AND id = %s"\n',
        'consults WHERE (user_id = %s OR true) AND id = %s"\n',
    ),
    _one("lists-anybody-s", _STORE, "    WHERE user_id = %s\n", "    WHERE (user_id = %s OR true)\n"),
    _one(
        "next-page-is-anybody-s",
        _STORE,
        "WHERE user_id = %s AND (created_at, id) <",
        "WHERE (user_id = %s OR true) AND (created_at, id) <",
        "page",
    ),
    _one(
        "tells-that-it-is-another-s",
        _CONSULTS,
        "        if found is None:\n",
        "        if found is None and request.path_params['id'][:8] != '00000000':\n            raise Problem(403, \"another user's\")\n        if found is None:\n",
        "403",
    ),
)
FAULTS = (*PASSWORDS, *TOKENS, *SESSIONS, *OTHERS)
