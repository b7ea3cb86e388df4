"""`python -m infrastructure.embedded.aws CONFIG.json`: answers on loopback for what moto lacks."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path

import uvicorn

from infrastructure.embedded.aws import config as configuration
from infrastructure.embedded.aws.assembly import assemble
from infrastructure.embedded.aws.clients import forget_ambient_aws


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM; then stops its instances and returns 0."""
    if len(arguments) != 1:
        print("usage: python -m infrastructure.embedded.aws CONFIG.json", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    forget_ambient_aws()
    config = configuration.load(Path(arguments[0]))
    options = uvicorn.Config(
        assemble(config),
        host=config.host,
        port=config.port,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,  # longer than clients keep idle connections: none is closed under a request
        timeout_graceful_shutdown=2,
    )
    server_ = uvicorn.Server(options)

    def end(*_: object) -> None:
        server_.should_exit = True

    # uvicorn raises the signal again once it has shut down; with this handler in place that ends in an exit with 0.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server_.run()
    return 0 if server_.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
