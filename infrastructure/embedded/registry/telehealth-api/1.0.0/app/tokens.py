"""Bearer tokens: JWTs, HS256 under the secret that both colours share."""

import time
import uuid
from dataclasses import dataclass

import jwt
from starlette.requests import Request

from app.problems import Problem

LIFETIME_S = 3600


@dataclass(frozen=True)
class Token:
    """A token that was verified: its user, its own id, and when it ends (seconds since 1970)."""

    user: uuid.UUID
    id: str
    expires_at: int


def unauthorised(detail: str, *, error: str | None = None) -> Problem:
    """A 401 with the challenge of RFC 6750, section 3."""
    challenge = 'Bearer realm="telehealth-api"' + (f', error="{error}"' if error else "")
    return Problem(401, detail, {"WWW-Authenticate": challenge})


def bearer_of(request: Request) -> str:
    """The request's bearer token, unverified. Raises Problem (401) where there is none."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not credentials.strip():
        raise unauthorised("a bearer token is required")
    return credentials.strip()


class Tokens:
    """Issues and verifies; knows nothing of revocation (see sessions)."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def issue(self, user: uuid.UUID) -> str:
        """A new token for `user`, good for LIFETIME_S, with an id of its own."""
        now = int(time.time())
        claims = {"sub": str(user), "iat": now, "exp": now + LIFETIME_S, "jti": str(uuid.uuid4())}
        return jwt.encode(claims, self._secret, algorithm="HS256")

    def read(self, text: str) -> Token:
        """Verify signature, algorithm, claims and expiry. Raises Problem (401)."""
        try:
            claims = jwt.decode(
                text,
                self._secret,
                algorithms=["HS256"],
                # Not "issued in the future": the two colours' clocks need not agree to the second.
                options={"require": ["sub", "iat", "exp", "jti"], "verify_iat": False},
            )
            return Token(user=uuid.UUID(claims["sub"]), id=claims["jti"], expires_at=int(claims["exp"]))
        except jwt.ExpiredSignatureError:
            raise unauthorised("the token has expired", error="invalid_token") from None
        except (jwt.InvalidTokenError, ValueError, OverflowError):
            raise unauthorised("the token is not valid", error="invalid_token") from None
