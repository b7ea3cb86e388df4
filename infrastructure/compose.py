"""The composition of the concrete classes: one environment's settings become the ports of a deployment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployment.clock import SystemClock
from deployment.errors import (
    CloudDenied,
    EnvironmentTaken,
    NotPermitted,
    Refused,
    StepFailed,
)
from deployment.evidence import keys
from deployment.evidence.archive import Archive
from deployment.evidence.attestation import Checker, Signer
from deployment.flow.alarms import AllAlarms
from deployment.model import Caller, Colour, Image, Reads
from deployment.plan import Operation, Ports
from deployment.ports import Alarms, AuditStore, Notifier, Permissions, PushTarget, Registry
from deployment.preflight.preflight import PreflightPorts
from deployment.project import FRAMEWORK, Project
from deployment.releases import default_tag, named_image
from deployment.settings import DeploymentLimits, Settings
from infrastructure import named_secrets, secret_values
from infrastructure.aws import adapters as classes
from infrastructure.aws.cloudwatch import CloudWatchAlarms
from infrastructure.aws.dynamodb import DynamoLease
from infrastructure.aws.errors import NO_CREDENTIALS
from infrastructure.aws.identity.caller import StsIdentity, clock_difference
from infrastructure.aws.identity.permissions import Resources, SimulatedPermissions
from infrastructure.aws.quotas import MeasuredQuotas
from infrastructure.aws.registry.images import EcrRegistry
from infrastructure.aws.registry.push import EcrPushTarget
from infrastructure.aws.registry.scans import EcrScans
from infrastructure.aws.route53.health_checks import Route53HealthChecks
from infrastructure.aws.s3 import S3AuditStore
from infrastructure.aws.secretsmanager import SecretsManager
from infrastructure.aws.session import Clients, Connection, Credentials, clients_for
from infrastructure.aws.sns import SnsNotifier
from infrastructure.colour_addresses import ColourAddresses
from infrastructure.description import service_of
from infrastructure.embedded import cloud, images
from infrastructure.embedded.errors import EmbeddedError, StartFailed, StateOwned
from infrastructure.estate import Estate, adapters, audit_folder, aws_estate, by_colour, earlier_public_key_files
from infrastructure.journey_data import HttpJourneyData
from infrastructure.live_domain import LiveDomain
from verification.http.answer_limits import AnswerLimits
from verification.journeys.accounts import SmokeUser
from verification.stores.connections import Stores

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Environment:
    """A connected environment: ports, registry, caller, smoke users, and the secret with which the service signs tokens."""

    name: str
    live_url: str
    ports: Ports
    registry: Registry
    caller: Caller
    smoke_users: tuple[SmokeUser, ...]
    secrets: tuple[str, ...]
    signer: Callable[[], Signer] = keys.no_key
    checker: Callable[[], Checker] = keys.no_checker
    store: AuditStore | None = None
    permissions: Permissions | None = None
    region: str = ""
    notifier: Notifier | None = None
    token_secret: str | None = field(default=None, repr=False)
    preflight_ports: PreflightPorts = field(default_factory=PreflightPorts)
    push_target: PushTarget | None = None
    stores: Stores = field(default_factory=Stores, repr=False)
    unread: str | None = None
    """Why the smoke users were not read, for a command that works without them; None if nothing failed."""
    viewer_host: str = "host"
    rehearsal_hosts: Mapping[str, str] = field(default_factory=dict)
    """By a colour's own URL: the host for which its load balancer treats a request as one to the live domain."""

    def archive(self, *, leased: bool = False) -> Archive:
        """Return the archive for a run's evidence; ``leased``: the run held the lease."""
        return Archive(self.name, self.signer, self.store, self.ports.lease if leased else None)

    def operation(self, limits: DeploymentLimits) -> Operation:
        """Return what an action of this caller on this environment needs."""
        return Operation(self.name, self.caller.arn, limits, self.ports)

    def image_of(self, digest: str | None) -> Image | None:
        """Return the registry's image of a digest, to show its name; None if the registry does not know it or cannot be asked."""
        return named_image(self.registry, digest)


def embedded_registry(settings: Settings) -> Path:
    """Return the folder of images: ``EMBEDDED_REGISTRY``, else the environment's ``registry``, else the framework's example."""
    shipped = FRAMEWORK / "infrastructure" / "embedded" / "registry"
    named = os.environ.get("EMBEDDED_REGISTRY") or settings.project.root / settings.estate.get("registry", shipped)
    return Path(named).absolute()


def _usable_state(project: Project) -> Path:
    """Return the data folder, created if it is missing. Raises Refused if it cannot be written."""
    state = project.embedded_state
    try:
        state.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=state).close()
    except OSError as error:
        raise Refused(
            f"the embedded environment cannot keep its data in {state}: {error.strerror}",
            hint="Set EMBEDDED_STATE to a folder that can be written.",
        ) from error
    return state


def is_up(settings: Settings) -> bool:
    """Return whether the environment can be reached: one on AWS always, an embedded one while it runs."""
    return settings.provider != "embedded" or cloud.outputs(settings.project.embedded_state) is not None


def sleeps(settings: Settings) -> bool:
    """Return whether an embedded environment exists but does not run: it has data, but no process."""
    return settings.provider == "embedded" and cloud.sleeps(settings.project.embedded_state)


def start(settings: Settings, progress: Progress, run_id: str) -> bool:
    """Start an embedded environment that is not up, for this run alone; return whether this run started and must stop it.

    One that `up` created, and whose processes have ended, stays up after the run, because its data belongs to the user.
    Raises Refused, with nothing started, if the registry forbids it; EnvironmentTaken if the environment belongs to
    another run alone; StepFailed. An environment that is up reads new tags, as if they had been pushed to ECR.
    """
    if settings.provider != "embedded":
        return False
    state = _usable_state(settings.project)
    try:
        cloud.refuse_strangers(state)
        cloud.refuse_other_environment(state, _platform(settings), served(settings).stores)
        if cloud.outputs(state) is None:
            progress("starting the embedded cloud")
            if cloud.up_for(
                run_id,
                state,
                embedded_registry(settings),
                served(settings),
                progress=progress,
                platform=_platform(settings),
            ):
                return True
        cloud.sync_registry(state)
    except StartFailed as error:
        raise StepFailed(str(error)) from error
    except StateOwned as error:
        raise EnvironmentTaken(str(error)) from error
    except EmbeddedError as error:
        raise Refused(str(error)) from error
    return False


def served(settings: Settings) -> cloud.Served:
    """Return what an embedded environment serves, from the description of the service."""
    service = service_of(settings)
    path = service.health.step.request.path
    shared = settings.project.embedded_state / "shared"
    folders = {"${project}": str(settings.project.root), "${shared}": str(shared)}
    variables = dict(service.environment)
    for word, folder in folders.items():
        variables = {name: value.replace(word, folder) for name, value in variables.items()}
    stores = tuple(name for name, step in service.dependencies.items() if step is not None)
    return cloud.Served(service.repository, path, variables, stores)


def stop(settings: Settings) -> None:
    """Stop the embedded environment; do nothing on AWS."""
    if settings.provider == "embedded":
        cloud.down(settings.project.embedded_state)


def up(settings: Settings, image_tag: str | None, progress: Progress) -> str:
    """Start or repair the embedded environment; return its live URL. Raises Refused, StepFailed."""
    if settings.provider != "embedded":
        raise Refused(
            f"environment {settings.environment} is on AWS: there is nothing to start",
            hint='`up` is for environments with provider = "embedded".',
        )
    try:
        outputs = cloud.up(
            _usable_state(settings.project),
            embedded_registry(settings),
            served(settings),
            image_tag=image_tag,
            progress=progress,
            platform=_platform(settings),
        )
        return outputs.live_url
    except StartFailed as error:
        raise StepFailed(str(error)) from error
    except EmbeddedError as error:
        raise Refused(str(error)) from error


def processes(settings: Settings) -> list[str]:
    """Return a line for each process of an embedded environment; no line on AWS."""
    found = cloud.inspect(settings.project.embedded_state) if settings.provider == "embedded" else None
    if found is None:
        return []
    lines = []
    for process in (*found.processes, *found.instances):
        state = "answers" if process.answers else "runs, but does not answer" if process.alive else "is not running"
        lines.append(f"{process.name} {state} (pid {process.pid}, port {process.port})")
    if not found.healthy:
        lines.append("`python scripts/deploy.py up` repairs the environment")
    return lines


def connect(settings: Settings, reads: Reads = Reads.ALL) -> Environment:
    """Connect to an environment that is up, and read the secrets in ``reads``. Raises Refused, SettingsError, CloudError."""
    estate = _estate(settings)
    clock = SystemClock()
    connection = estate.connection
    clients = clients_for(connection)
    if role := settings.estate.get("role"):
        session = StsIdentity(clients).session_of(f"arn:aws:iam::{estate.account}:role/{role}", name="embedded")
        connection = replace(connection, credentials=Credentials(*session))
        clients = clients_for(connection)
    caller = _caller(clients, settings)
    if caller.account != estate.account:
        raise Refused(
            f"the credentials in use belong to account {caller.account}, but environment {settings.environment} "
            f"is account {estate.account}",
            hint="Name the right profile in deployment.toml, or sign in to the right account.",
        )
    vault = SecretsManager(clients)
    signer = keys.signer(vault, estate.signing_key_secret, estate.signing_key_file)
    values = secret_values.read(vault, estate, service_of(settings), reads)
    named = named_secrets.provide(vault, settings, estate.own_secrets, reads)
    limits = settings.limits
    data = HttpJourneyData(
        settings.environment,
        estate.live_url,
        values.smoke_users,
        service_of(settings).without(named.unread),
        timeout_s=limits.prober_timeout,
        answers=AnswerLimits.of(limits.largest_answer, limits.request_deadline),
    )
    return Environment(
        name=settings.environment,
        live_url=estate.live_url,
        ports=_ports(clients, settings, estate, data, clock),
        registry=_registry(clients, settings, estate),
        caller=caller,
        smoke_users=values.smoke_users,
        secrets=(*values.texts, *_keys(connection), *named.texts),
        signer=signer,
        checker=keys.checker(signer, estate.public_key(vault), earlier_public_key_files(settings)),
        store=audit_folder(settings)
        or (S3AuditStore(clients, estate.audit_bucket, clock) if estate.audit_bucket else None),
        permissions=_permissions(clients, settings, estate),
        region=estate.connection.region,
        notifier=SnsNotifier(clients, estate.notifications_topic) if estate.notifications_topic else None,
        token_secret=values.token_secret,
        preflight_ports=_preflight_ports(clients, settings, estate, vault, clock),
        push_target=EcrPushTarget(clients, _repository(settings), estate.account, estate.connection.region),
        stores=values.stores,
        unread="; ".join(_unread(values.unread, named.unread)) or None,
        viewer_host=classes.viewer_host(estate.router.name),
        rehearsal_hosts={
            estate.platform.options["colour_urls"][one]: host for one, host in estate.rehearsal_hosts.items()
        },
    )


def _unread(users: str | None, named: Mapping[str, str]) -> Iterator[str]:
    """Yield what could not be read and is therefore not verified."""
    if users is not None:
        yield users
    for name, why in named.items():
        yield f"{name} could not be read ({why}): what uses it is not verified"


def _ports(clients: Clients, settings: Settings, estate: Estate, data: HttpJourneyData, clock: SystemClock) -> Ports:
    return Ports(
        platform=classes.platform(estate.platform.name)(clients, **estate.platform.options),
        router=classes.router(estate.router.name)(clients, **estate.router.options),
        lease=DynamoLease(clients, table=estate.lease_table, ttl_s=settings.limits.lease_ttl, clock=clock),
        front=data.front(),
        clock=clock,
        alarms=_alarms(clients, estate),
        data=data,
    )


def _preflight_ports(
    clients: Clients, settings: Settings, estate: Estate, vault: SecretsManager, clock: SystemClock
) -> PreflightPorts:
    """Return the ports that only preflight uses."""
    own = (estate.smoke_users_secret, estate.token_secret, estate.signing_key_secret, *estate.store_secrets)
    return PreflightPorts(
        scans=EcrScans(clients, _repository(settings), estate.account),
        quotas=MeasuredQuotas(clients, classes.QUOTAS[estate.platform.name], clock),
        vault=vault,
        own_secrets=tuple(filter(None, own)),
        domain=LiveDomain(estate.live_url, timeout_s=settings.limits.prober_timeout),
        addresses=ColourAddresses(timeout_s=settings.limits.prober_timeout),
    )


def _caller(clients: Clients, settings: Settings) -> Caller:
    """Return the credentials' owner. Raises NotPermitted without credentials that AWS accepts, Refused if the clock is wrong."""
    try:
        caller, ahead = StsIdentity(clients).caller_and_clock()
    except CloudDenied as error:
        problem = "there are no credentials" if error.hint == NO_CREDENTIALS else "AWS refuses the credentials"
        raise NotPermitted(
            f"{problem} for environment {settings.environment}: {error.message}", hint=error.hint
        ) from error
    # A machine that is ahead by more would consider a lease expired although its holder has missed only one renewal.
    if abs(ahead) > settings.limits.lease_ttl / 3:
        raise Refused(
            f"this machine's clock is {clock_difference(ahead)} AWS's, and leases depend on it",
            hint=f"Set the clock (NTP); {settings.limits.lease_ttl / 3:.0f} s, a third of lease_ttl, are allowed.",
        )
    return caller


def _keys(connection: Connection) -> tuple[str, ...]:
    """Return the secret parts of the credentials; only botocore knows those of a profile or of the environment."""
    credentials = connection.credentials
    return tuple(filter(None, (credentials.secret_key, credentials.session_token))) if credentials else ()


def _alarms(clients: Clients, estate: Estate) -> Alarms:
    sources: list[Alarms] = []
    if estate.alarms:
        sources.append(CloudWatchAlarms(clients, estate.alarms))
    if estate.health_checks:
        sources.append(Route53HealthChecks(clients, estate.health_checks))
    return AllAlarms(sources)


def _permissions(clients: Clients, settings: Settings, estate: Estate) -> Permissions:
    return SimulatedPermissions(
        clients,
        Resources(
            region=estate.connection.region,
            account=estate.account,
            repository=_repository(settings),
            lease_table=estate.lease_table,
            platform=estate.platform.name,
            services=estate.platform.options["services"],
            router=estate.router.name,
            options=estate.router.options,
            cluster=estate.platform.options.get("cluster"),
            topic=estate.notifications_topic,
            alarms=estate.alarms,
            health_checks=estate.health_checks,
            web_acl=estate.platform.options.get("web_acl"),
        ),
    )


def _repository(settings: Settings) -> str:
    """Return the image repository of an environment: its own, else the service's."""
    return str(settings.estate.get("ecr_repository") or service_of(settings).repository)


def _registry(clients: Clients, settings: Settings, estate: Estate) -> Registry:
    return EcrRegistry(
        clients, repository=_repository(settings), account=estate.account, region=estate.connection.region
    )


def _estate(settings: Settings) -> Estate:
    return _embedded_estate(settings) if settings.provider == "embedded" else aws_estate(settings)


def _platform(settings: Settings) -> str:
    """Return the name of the platform on which an embedded environment runs releases."""
    return str(settings.estate.get("platform", "apprunner"))


def embedded_connection(outputs: cloud.Outputs) -> Connection:
    """Return how the APIs of an embedded environment are reached."""
    return Connection(
        region=outputs.region,
        account=outputs.account_id,
        profile=None,
        credentials=Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key),
        endpoints=outputs.endpoints,
    )


def _embedded_estate(settings: Settings) -> Estate:
    try:
        wanted = served(settings)
        cloud.refuse_other_environment(settings.project.embedded_state, _platform(settings), wanted.stores)
    except EmbeddedError as error:
        raise Refused(str(error)) from error
    outputs = cloud.outputs(settings.project.embedded_state)
    if outputs is None:
        raise Refused(
            f"no embedded environment is up in {settings.project.embedded_state}",
            hint="Start one with `python scripts/deploy.py up`; `pytest --target=green` starts its own.",
        )
    return Estate(
        embedded_connection(outputs),
        outputs.account_id,
        outputs.live_url,
        *adapters(replace(settings, estate=outputs.settings())),
        outputs.lease_table,
        outputs.secrets["smoke_users"],
        outputs.audit_bucket,
        outputs.secrets["signing_key"],
        token_secret=outputs.secrets["jwt_secret"],
        notifications_topic=outputs.notifications_topic,
        alarms=tuple(outputs.alarms),
        health_checks=tuple(outputs.route53_health_checks),
        # The environment may run a store that the service no longer has.
        database_url_secret=outputs.secrets.get("database_url") if "database" in wanted.stores else None,
        redis_url=outputs.redis_url if "redis" in wanted.stores else None,
        rehearsal_hosts=by_colour(outputs.rehearsal_hosts),
        own_secrets=outputs.secrets,
        # An environment that an earlier version created has no such secret.
        signing_public_key_secret=outputs.secrets.get("signing_public_key"),
    )


def projected_release(
    settings: Settings, tag: str | None, environment: Environment | None = None
) -> tuple[Image, Colour]:
    """Return the image that a deployment would take and the live colour, without starting anything.

    An embedded environment that is not up would start with its lowest release live on blue. Raises Refused, CloudError.
    """
    if is_up(settings):
        environment = environment or connect(settings, Reads.NOTHING)
        return environment.registry.resolve(
            tag or default_tag(environment.registry.tags())
        ), environment.ports.router.observe().live
    try:
        registry = embedded_registry(settings)
        repository = service_of(settings).repository
        folder = images.choose(registry, repository, tag or images.highest(registry, repository))
        image = images.build(folder)
    except EmbeddedError as error:
        raise Refused(str(error)) from error
    version = (folder.path / "VERSION").read_text(encoding="utf-8").strip()
    irreversible = images.is_irreversible(image)
    return Image(folder.repository, folder.tag, image.digest, version, image.digest, irreversible), Colour.BLUE
