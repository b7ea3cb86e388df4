"""What the endpoint is made of, on either platform."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from starlette.applications import Starlette

from ..ingress import Ingress
from . import server
from .apprunner.api import AppRunner
from .apprunner.launcher import Launcher
from .apprunner.operations import Operations
from .apprunner.store import Store
from .apprunner.supervisor import Supervisor
from .clients import AwsClients
from .config import EndpointConfig
from .ecs.definitions import TaskDefinitions
from .ecs.runner import Runner
from .ecs.scheduler import Scheduler
from .ecs.services import Services
from .ecs.store import Store as EcsStore
from .ecs.tasks import Tasks
from .elbv2.api import LoadBalancing
from .elbv2.groups import TargetGroups
from .elbv2.health import HealthChecks
from .elbv2.routes import RouteFiles
from .elbv2.store import Store as BalancerStore
from .iam import Iam
from .images import Images
from .instances import Processes
from .kvs import KeyValueStore
from .logs import LogDelivery, apprunner_stream, awslogs_stream
from .secrets import SecretResolver


@dataclass(frozen=True)
class _Parts:
    """What both platforms share."""

    config: EndpointConfig
    stopping: Event
    clients: AwsClients
    processes: Processes
    images: Images


def assemble(config: EndpointConfig) -> Starlette:
    """The application of the configured platform with everything behind it."""
    clients = AwsClients(config)
    parts = _Parts(config, Event(), clients, Processes(config.state_dir / "bin"), Images(config.images_dir, clients))
    return {"apprunner": _apprunner, "ecs": _ecs}[config.platform](parts)


def _apprunner(parts: _Parts) -> Starlette:
    """App Runner and CloudFront's key value store."""
    config, stopping, processes = parts.config, parts.stopping, parts.processes
    store = Store(config.state_dir / "services")
    launcher = Launcher(config, processes, parts.images, SecretResolver(parts.clients), stopping)
    operations = Operations(config, store, processes, launcher, Ingress(config.ingress_dir), stopping)
    supervisor = Supervisor(store, processes, launcher, operations, stopping)
    offsets = config.state_dir / "log-offsets.json"
    delivery = LogDelivery(config.log_dir / "aws", offsets, parts.clients, apprunner_stream)
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
    services = server.Services({"apprunner": apprunner}, {"iam": Iam(config).handlers()}, key_value_store.handlers())
    return server.application(services, config.region, start, stop)


def _ecs(parts: _Parts) -> Starlette:
    """ECS and Elastic Load Balancing."""
    config, stopping, changed = parts.config, parts.stopping, Event()
    balancers = BalancerStore(config.state_dir / "load-balancers.json")
    routes = RouteFiles(config.listener_dir, balancers)
    checks = HealthChecks(balancers, stopping)
    groups = TargetGroups(config, balancers, checks)
    store = EcsStore(config.state_dir / "ecs")
    runner = Runner(config, store, parts.processes, parts.images, parts.clients, groups, stopping)
    scheduler = Scheduler(config, store, parts.processes, groups, runner, stopping, changed)
    offsets = config.state_dir / "log-offsets.json"
    delivery = LogDelivery(config.log_dir / "awslogs", offsets, parts.clients, awslogs_stream)

    def start() -> None:
        balancers.changed = routes.write
        routes.write()
        scheduler.recover()
        groups.start()
        scheduler.start()
        delivery.start()

    def stop() -> None:
        stopping.set()
        scheduler.stop(config.stop_grace_s)
        delivery.stop()

    definitions = TaskDefinitions(config, store)
    services = Services(config, store, definitions, balancers, changed)
    tasks = Tasks(store, services, runner)
    ecs = definitions.handlers() | services.handlers() | tasks.handlers()
    elbv2 = LoadBalancing(config, balancers).handlers() | groups.handlers()
    query = {"elbv2": elbv2, "iam": Iam(config).handlers()}
    return server.application(server.Services({"ecs": ecs}, query, {}), config.region, start, stop)
