"""The state folder of one environment: its paths, its ports, and the record that identifies it as an environment."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infrastructure.embedded.files import make_enterable, replace_json
from infrastructure.embedded.names import Names

ACCOUNT_ID = "123456789012"
"""The id of moto's account."""
REGION = "us-east-1"
SCHEMA = 1
STORES = ("database", "redis")
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ports:
    """Loopback ports, chosen by the operating system once and kept for the environment's life.

    The live domain answers on `edge`. The colours' own addresses answer on `ingress`: App Runner's hosts, or a load
    balancer's test listener.
    """

    postgres: int
    valkey: int
    edge: int
    ingress: int
    moto: int
    endpoint: int


@dataclass(frozen=True)
class Served:
    """What the environment serves: the repository of the images, the path of their health check, further variables.

    ``stores`` are the stores that run beside the service: ``database``, ``redis``.
    """

    repository: str
    health_path: str = "/health"
    variables: Mapping[str, str] = field(default_factory=dict)
    stores: tuple[str, ...] = STORES

    @property
    def stem(self) -> str:
        """The part of the repository's name that names of resources and hosts contain, at most 20 letters long."""
        name = re.sub(r"[^a-z0-9]+", "-", self.repository.rpartition("/")[2].lower()).strip("-")
        return (name.removesuffix("-api") or name)[:20].strip("-")


@dataclass(frozen=True)
class Environment:
    """`environment.json`: the decisions made when the environment was created.

    They never change, except that a failed first start may choose other ports.
    """

    registry: Path
    image_tag: str
    served: Served
    ports: Ports
    postgres_home: Path
    key_value_store_id: str
    platform: str = "apprunner"

    @property
    def repository(self) -> str:
        """The repository of the images."""
        return self.served.repository

    @property
    def names(self) -> Names:
        """The names of the resources."""
        return Names(f"embedded-{self.served.stem}")

    @property
    def live_host(self) -> str:
        """The host of the live domain."""
        return f"api.{self.served.stem}.localhost"

    @property
    def key_value_store_arn(self) -> str:
        """The ARN of the edge's key value store."""
        return f"arn:aws:cloudfront::{ACCOUNT_ID}:key-value-store/{self.key_value_store_id}"

    @property
    def moto_url(self) -> str:
        """The URL of moto, which answers for all AWS services that it covers."""
        return f"http://127.0.0.1:{self.ports.moto}"

    @property
    def endpoint_url(self) -> str:
        """The URL of the endpoint, which answers for the services that moto lacks."""
        return f"http://127.0.0.1:{self.ports.endpoint}"

    @property
    def live_url(self) -> str:
        """The URL of the live domain, through the edge."""
        return f"http://{self.live_host}:{self.ports.edge}"

    def colour_url(self, colour: str) -> str:
        """Return the URL under which the load balancer's test listener reaches one colour only."""
        return f"http://{colour}.{self.served.stem}.localhost:{self.ports.ingress}"

    @property
    def service_domain(self) -> str:
        """The common suffix of App Runner's service hosts, with the ingress's port."""
        return f"{REGION}.awsapprunner.localhost:{self.ports.ingress}"


@dataclass(frozen=True)
class Layout:
    """Absolute paths below one state folder; creating a Layout does not touch the disk."""

    state: Path

    @property
    def environment(self) -> Path:
        """The record that identifies the folder as an environment."""
        return self.state / "environment.json"

    @property
    def secrets(self) -> Path:
        """Passwords and keys of this environment; mode 0600."""
        return self.state / "secrets.json"

    @property
    def outputs(self) -> Path:
        """What the deployer needs to know; mode 0600."""
        return self.state / "outputs.json"

    @property
    def owner(self) -> Path:
        """The run that owns the environment; absent if the environment runs until `down`."""
        return self.state / "owner.json"

    @property
    def lock(self) -> Path:
        """The lock that a running `up` or `down` holds."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """One log per process; the endpoint adds those of its services."""
        return self.state / "logs"

    @property
    def images(self) -> Path:
        """Content-addressed images: `sha256-<hex>/content`."""
        return self.state / "images"

    @property
    def aws(self) -> Path:
        """The endpoint's own folder; its instances work below it."""
        return self.state / "aws"

    @property
    def shared(self) -> Path:
        """A folder that all instances of the service share, as a network file system; empty at first."""
        return self.state / "shared"

    @property
    def run(self) -> Path:
        """Runtime state: process records, Caddy's files."""
        return self.state / "run"

    @property
    def processes(self) -> Path:
        """One JSON file per process: pid and start time."""
        return self.run / "processes"

    @property
    def ingress(self) -> Path:
        """The files `<host>/127.0.0.1:<port>` that Caddy's ingress reads."""
        return self.run / "ingress"

    @property
    def listeners(self) -> Path:
        """The files `<listener port>/<slot>` that Caddy reads as a load balancer."""
        return self.run / "listeners"

    @property
    def edge_route(self) -> Path:
        """The one line that Caddy's edge reads."""
        return self.run / "edge" / "route"

    @property
    def data(self) -> Path:
        """Data of Valkey and moto, and of PostgreSQL if the server's user can reach this folder."""
        return self.state / "data"

    def owned(self) -> tuple[Path, ...]:
        """Return everything that `down` removes: our own names only, never other content of the folder."""
        folders = (self.logs, self.images, self.aws, self.shared, self.run, self.data)
        return (self.owner, self.outputs, self.secrets, *folders, self.environment)

    def make(self) -> None:
        """Create the folders; other users (PostgreSQL's server) can pass through `data`, but enter no other one."""
        make_enterable(self.state)
        for folder in (
            self.logs,
            self.images,
            self.aws,
            self.shared,
            self.processes,
            self.ingress,
            self.listeners,
            self.edge_route.parent,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.mkdir(exist_ok=True)
        self.data.chmod(0o711)
        for folder in (self.logs, self.images, self.aws, self.run):
            folder.chmod(0o700)


def choose_ports() -> Ports:
    """Return six different free ports; all are bound until the last is chosen, so that none is returned twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(6)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return Ports(*(int(probe.getsockname()[1]) for probe in sockets))


def write_environment(layout: Layout, environment: Environment) -> None:
    """Write environment.json atomically."""
    document = {"schema": SCHEMA, **asdict(environment)}
    replace_json(layout.environment, json.loads(json.dumps(document, default=str)))


def read_environment(layout: Layout) -> Environment | None:
    """Return the record of the folder's environment, or None if it holds none."""
    try:
        document = json.loads(layout.environment.read_text())
    except FileNotFoundError:
        return None
    document.pop("schema")
    # An environment of an earlier version recorded the repository alone.
    served = document.get("served", {"repository": document.pop("repository", "")})
    # An earlier version started every store.
    document["served"] = Served(**{**served, "stores": tuple(served.get("stores", STORES))})
    document["ports"] = Ports(**document["ports"])
    document["registry"] = Path(document["registry"])
    document["postgres_home"] = Path(document["postgres_home"])
    return Environment(**document)
