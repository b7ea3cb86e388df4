"""`python -m infrastructure.embedded.aws CONFIG.json`: the endpoint for AWS services that moto lacks, on loopback."""

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
    """Serve until SIGTERM, then stop the instances and return 0. Return 1 after a failed start, 2 on wrong usage."""
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
        timeout_keep_alive=75,  # longer than clients keep idle connections, so that no request meets a closed one
        timeout_graceful_shutdown=2,
    )
    server_ = uvicorn.Server(options)

    def end(*_: object) -> None:
        server_.should_exit = True

    # uvicorn raises the signal again after its shutdown; this handler ignores it, so that the exit code is 0.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    server_.run()
    return 0 if server_.started else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
