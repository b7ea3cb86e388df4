"""`python -m infrastructure.embedded.processes.moto_server CONFIG.json`: moto's own server, plus a memory.

moto keeps everything in memory. Its recorder is unfit as a memory: it writes a request down before it is carried
out, so that of two that race for a lease the replay may let the other one win, and a secret that is made again
gets another ARN. So a change to a service that must not forget is saved, whole, before it is answered.
"""

from __future__ import annotations

import copyreg
import json
import logging
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from threading import Lock, RLock
from typing import Any, Literal

from moto.backends import get_backend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import S3BackendDict
from werkzeug.serving import make_server

from infrastructure.embedded import files
from infrastructure.embedded.processes.python_server import READY_PATH

_Service = Literal["dynamodb", "secretsmanager", "ecr", "s3"]
_REMEMBERED: dict[str, _Service] = {
    "DynamoDB": "dynamodb",
    "secretsmanager": "secretsmanager",
    "AmazonEC2ContainerRegistry": "ecr",
}
"""Start of an X-Amz-Target -> moto's name of the service. Logs are left out: the instances' log files are their truth."""
_ALL: tuple[_Service, ...] = (*_REMEMBERED.values(), "s3")
_S3 = "/s3/aws4_request"
"""In the signature of a request to S3, which has no X-Amz-Target."""
_READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Query", "Scan")

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Memory:
    """The remembered services' backends in files, one a service; each file is replaced atomically and synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, service: _Service) -> None:
        """Writes the whole of a service down (some kilobytes in this environment)."""
        files.replace(self._file(service), pickle.dumps((version("moto"), get_backend(service))))

    def restore(self) -> None:
        """Gives moto back what it knew; raises RuntimeError where another version of moto wrote it."""
        for service in _ALL:
            if self._file(service).exists():
                wrote, known = pickle.loads(self._file(service).read_bytes())  # noqa: S301  # our own file, 0600, in a 0700 folder
                if wrote != version("moto"):
                    raise RuntimeError(
                        f"{self._file(service)} was written by moto {wrote}; start afresh: down, then up"
                    )
                backend = get_backend(service)
                dict.update(backend, known)
                if isinstance(backend, S3BackendDict):
                    # Beside the dict's own content: whose each bucket is. Without it a bucket would be made anew, empty.
                    backend.bucket_accounts.update(known.bucket_accounts)

    def _file(self, service: str) -> Path:
        return self._folder / f"{service}.pickle"


class Remembering:
    """WSGI: moto, with changes to the remembered services one at a time and saved before they are answered."""

    def __init__(self, moto: Wsgi, memory: Memory) -> None:
        self._moto = moto
        self._memory = memory
        self._locks = {service: Lock() for service in _ALL}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answers READY_PATH itself; a change that could not be saved is not answered but fails (500)."""
        if environ["PATH_INFO"] == READY_PATH:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ready\n"]
        service = _changes(environ)
        if service is None:
            return self._moto(environ, start_response)
        with self._locks[service]:
            body = list(self._moto(environ, start_response))
            self._memory.save(service)
        return body


def _changes(environ: dict[str, Any]) -> _Service | None:
    """The remembered service that a request changes; None for a read and for any other service."""
    if _S3 in environ.get("HTTP_AUTHORIZATION", ""):
        return None if environ["REQUEST_METHOD"] in ("GET", "HEAD") else "s3"
    prefix, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    service = _REMEMBERED.get(prefix.partition("_")[0])
    return None if service is None or action.startswith(_READS) else service


def main(config_file: str) -> None:
    """Serves until SIGTERM."""
    config = json.loads(Path(config_file).read_text())
    # Backends hold locks; a lock has no content, and a new one is as good.
    copyreg.pickle(type(RLock()), lambda _: (RLock, ()))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    os.environ["MOTO_PORT"] = str(config["port"])
    memory = Memory(Path(config["data_dir"]))
    memory.restore()
    application = Remembering(DomainDispatcherApplication(create_backend_app), memory)
    server = make_server(config["host"], config["port"], application, threaded=True, request_handler=MotoRequestHandler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing is left to write: changes are saved as they come
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
