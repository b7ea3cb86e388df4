"""The assembly of the endpoint's parts, for either platform."""

from __future__ import annotations

from threading import Event

from starlette.applications import Starlette

from infrastructure.embedded.aws.apprunner.api import AppRunner
from infrastructure.embedded.aws.apprunner.ingress import Ingress
from infrastructure.embedded.aws.apprunner.launcher import Launcher
from infrastructure.embedded.aws.apprunner.operations import Operations
from infrastructure.embedded.aws.apprunner.store import Store
from infrastructure.embedded.aws.apprunner.supervisor import Supervisor
from infrastructure.embedded.aws.clients import AwsClients
from infrastructure.embedded.aws.cloudfront.key_value_store import KeyValueStore
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.ecs.definitions import TaskDefinitions
from infrastructure.embedded.aws.ecs.runner import Runner
from infrastructure.embedded.aws.ecs.scheduler import Scheduler
from infrastructure.embedded.aws.ecs.service_deployments import ServiceDeployments
from infrastructure.embedded.aws.ecs.services import Services
from infrastructure.embedded.aws.ecs.store import Store as EcsStore
from infrastructure.embedded.aws.ecs.tasks import Tasks
from infrastructure.embedded.aws.elbv2.api import LoadBalancing
from infrastructure.embedded.aws.elbv2.groups import TargetGroups
from infrastructure.embedded.aws.elbv2.health import HealthChecks
from infrastructure.embedded.aws.elbv2.routes import RouteFiles
from infrastructure.embedded.aws.elbv2.store import Store as BalancerStore
from infrastructure.embedded.aws.iam import Iam
from infrastructure.embedded.aws.protocol import server
from infrastructure.embedded.aws.runtime.images import Images
from infrastructure.embedded.aws.runtime.instances import Processes
from infrastructure.embedded.aws.runtime.logs import LogDelivery, apprunner_stream, awslogs_stream
from infrastructure.embedded.aws.runtime.parts import Parts
from infrastructure.embedded.aws.runtime.secrets import SecretResolver


def assemble(config: EndpointConfig) -> Starlette:
    """Return the application for the configured platform, with all its parts."""
    clients = AwsClients(config)
    parts = Parts(config, Event(), clients, Processes(config.state_dir / "bin"), Images(config.images_dir, clients))
    return {"apprunner": _apprunner, "ecs": _ecs}[config.platform](parts)


def _apprunner(parts: Parts) -> Starlette:
    """Return the application for App Runner and CloudFront's key value store."""
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


def _ecs(parts: Parts) -> Starlette:
    """Return the application for ECS and Elastic Load Balancing."""
    config, stopping, changed = parts.config, parts.stopping, Event()
    balancers = BalancerStore(config.state_dir / "load-balancers.json")
    routes = RouteFiles(config.listener_dir, balancers)
    checks = HealthChecks(balancers, stopping)
    groups = TargetGroups(config, balancers, checks)
    store = EcsStore(config.state_dir / "ecs")
    runner = Runner(parts, store, groups)
    scheduler = Scheduler(parts, store, groups, runner, changed)
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
    ecs |= ServiceDeployments(store, services).handlers()
    elbv2 = LoadBalancing(config, balancers).handlers() | groups.handlers()
    query = {"elbv2": elbv2, "iam": Iam(config).handlers()}
    return server.application(server.Services({"ecs": ecs}, query, {}), config.region, start, stop)
