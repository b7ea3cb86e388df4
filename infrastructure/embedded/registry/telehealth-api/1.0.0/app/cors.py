"""CORS_ORIGINS: which web origins may call from a browser."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from app.problems import problem_response


class Cors(CORSMiddleware):
    """Starlette's own, with a refused preflight answered as a problem document like every other error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """200, or 400 where origin, method or headers are not allowed."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        kept = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
        return problem_response(response.status_code, bytes(response.body).decode(), kept)
