"""`web:` serves the API on 127.0.0.1:PORT until SIGTERM, then finishes what it has begun and exits 0."""

import os
import signal
import sys

import uvicorn
from app.application import create_app
from app.config import ConfigError, Settings
from app.logs import configure_logging

KEEP_ALIVE_S = 75  # longer than a front door does, so that it is never we who close under a request
DRAIN_S = 10  # what requests in flight get after SIGTERM


def main() -> int:
    """Serve; 0 after a graceful stop, 1 where the port is taken, 2 where the configuration is wrong."""
    # uvicorn raises the signal again once it has drained; this is what then answers it.
    signal.signal(signal.SIGTERM, lambda _signal, _frame: sys.exit(0))
    configure_logging()
    try:
        settings = Settings.from_environment(os.environ)
    except ConfigError as error:
        print(f"telehealth-api: {error}", file=sys.stderr)
        return 2
    uvicorn.run(
        create_app(settings),
        host="127.0.0.1",
        port=settings.port,
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
