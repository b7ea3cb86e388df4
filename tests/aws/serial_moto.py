"""`python serial_moto.py PORT`: moto, one request at a time.

DynamoDB makes a conditional write atomically; moto reads, compares and writes in three steps, and threads can run in
between (seen: 2 and 3 winners of a race of 24 for an item that did not exist yet).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

moto = DomainDispatcherApplication(create_backend_app)
lock = Lock()


def one_at_a_time(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Call moto, a WSGI application, under a lock."""
    with lock:
        return list(moto(environ, start_response))


if __name__ == "__main__":
    make_server(
        "127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=MotoRequestHandler
    ).serve_forever()
