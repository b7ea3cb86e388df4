"""Around all handlers: one log line for each request, and a 500 that tells nothing to the caller."""

import logging
import time
import traceback

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import problem_response

_log = logging.getLogger("telehealth.requests")


class Guard:
    """Logs method, path, status and duration (no query, header or body), and turns what nobody caught into a 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; the lifespan's messages pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:
            _log.error("unexpected exception", extra={"fields": _whereabouts(error)})
            if status:
                raise  # half an answer is on its way: only cutting the connection is honest
            await problem_response(500)(scope, receive, watched)
        if not scope["path"].startswith("/health"):  # asked every second by every load balancer
            _log.info("request", extra={"fields": _summary(scope, status, time.perf_counter() - began)})


def _summary(scope: Scope, status: int, seconds: float) -> dict[str, object]:
    return {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1000, 2)}


def _whereabouts(error: Exception) -> dict[str, object]:
    """Type and place, never the text: that may quote a request, a row or a connection string."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"exception": type(error).__name__, "at": [f"{frame.filename}:{frame.lineno}" for frame in frames[-4:]]}
