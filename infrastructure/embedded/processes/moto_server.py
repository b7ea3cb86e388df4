"""`python -m infrastructure.embedded.processes.moto_server CONFIG.json`: moto's own server, with state on disk.

moto keeps its state in memory. Its recorder does not help: it records a request before carrying it out, so that a
replay of two concurrent lease requests may let the other one win, and a replayed secret gets another ARN. Therefore
this server saves the complete state of a service after each change to it, before it answers.
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
_SAVED: dict[str, _Service] = {
    "DynamoDB": "dynamodb",
    "secretsmanager": "secretsmanager",
    "AmazonEC2ContainerRegistry": "ecr",
}
"""Prefix of X-Amz-Target -> moto's name of the service. Logs are left out: the instances' files are the original."""
_ALL: tuple[_Service, ...] = (*_SAVED.values(), "s3")
_S3 = "/s3/aws4_request"
"""A part of the signature of a request to S3, which has no X-Amz-Target."""
_READS = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Query", "Scan")

StartResponse = Callable[..., Any]
Wsgi = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Memory:
    """The backends of the saved services, one file per service; each file is replaced atomically and synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def save(self, service: _Service) -> None:
        """Save the complete state of a service (some kilobytes in this environment)."""
        files.replace(self._file(service), pickle.dumps((version("moto"), get_backend(service))))

    def restore(self) -> None:
        """Load the saved state into moto. Raises RuntimeError if another version of moto wrote it."""
        for service in _ALL:
            if self._file(service).exists():
                wrote, known = pickle.loads(self._file(service).read_bytes())  # noqa: S301  # our own file, 0600
                if wrote != version("moto"):
                    raise RuntimeError(
                        f"{self._file(service)} was written by moto {wrote}; start again from scratch: down, then up"
                    )
                backend = get_backend(service)
                dict.update(backend, known)
                if isinstance(backend, S3BackendDict):
                    # The dict's content lacks the buckets' accounts; without them moto would recreate a bucket, empty.
                    backend.bucket_accounts.update(known.bucket_accounts)

    def _file(self, service: str) -> Path:
        return self._folder / f"{service}.pickle"


class SavingMoto:
    """A WSGI wrapper of moto: changes to a saved service run one at a time, and each is saved before its answer."""

    def __init__(self, moto: Wsgi, memory: Memory) -> None:
        self._moto = moto
        self._memory = memory
        self._locks = {service: Lock() for service in _ALL}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer READY_PATH itself and pass other requests to moto; a change that cannot be saved fails with 500."""
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
    """Return the saved service that a request changes; None for a read and for any other service."""
    if _S3 in environ.get("HTTP_AUTHORIZATION", ""):
        return None if environ["REQUEST_METHOD"] in ("GET", "HEAD") else "s3"
    prefix, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
    service = _SAVED.get(prefix.partition("_")[0])
    return None if service is None or action.startswith(_READS) else service


def main(config_file: str) -> None:
    """Serve until SIGTERM."""
    config = json.loads(Path(config_file).read_text())
    # Backends hold locks, which cannot be pickled; a lock has no state, so a new one replaces it.
    copyreg.pickle(type(RLock()), lambda _: (RLock, ()))
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # otherwise it logs one line per request
    os.environ["MOTO_PORT"] = str(config["port"])
    memory = Memory(Path(config["data_dir"]))
    memory.restore()
    application = SavingMoto(DomainDispatcherApplication(create_backend_app), memory)
    server = make_server(config["host"], config["port"], application, threaded=True, request_handler=MotoRequestHandler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # nothing is left to write: each change is saved at once
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
