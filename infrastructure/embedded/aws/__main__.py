"""`python -m infrastructure.embedded.aws CONFIG.json`: answers App Runner and the key value store on loopback."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from threading import Event

import uvicorn
from starlette.applications import Starlette

from ..ingress import Ingress
from . import config as configuration
from . import server
from .apprunner.api import AppRunner
from .apprunner.launcher import Launcher
from .apprunner.operations import Operations
from .apprunner.store import Store
from .apprunner.supervisor import Supervisor
from .clients import AwsClients, forget_ambient_aws
from .config import EndpointConfig
from .images import Images
from .instances import Processes
from .kvs import KeyValueStore
from .logs import LogDelivery
from .secrets import SecretResolver


def assemble(config: EndpointConfig) -> Starlette:
    """The application with everything behind it."""
    stopping = Event()
    clients = AwsClients(config)
    store = Store(config.state_dir / "services")
    processes = Processes(config.state_dir / "bin")
    launcher = Launcher(config, processes, Images(config.images_dir, clients), SecretResolver(clients), stopping)
    operations = Operations(config, store, processes, launcher, Ingress(config.ingress_dir), stopping)
    supervisor = Supervisor(store, processes, launcher, operations, stopping)
    delivery = LogDelivery(config.log_dir, config.state_dir / "log-offsets.json", clients)
    key_value_store = KeyValueStore(
        config.key_value_store_arn, config.state_dir / "key-value-store.json", config.edge_route_file
    )

    def start() -> None:
        supervisor.recover()
        supervisor.start()
        delivery.start()

    def stop() -> None:
        stopping.set()
        supervisor.stop(config.stop_grace_s)
        delivery.stop()

    apprunner = AppRunner(config, store, operations).handlers()
    return server.application(apprunner, key_value_store.handlers(), config.region, start, stop)


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
