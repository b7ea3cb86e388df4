"""The state folder: where everything of one environment lies, and the record that makes the folder ours."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from infrastructure.embedded.files import replace_json

ACCOUNT_ID = "123456789012"
"""The account in which moto answers."""
REGION = "us-east-1"
SCHEMA = 1
PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ports:
    """Loopback ports, chosen by the operating system once and kept for the environment's life.

    `edge` is where the live domain answers. Behind `ingress` are the colours' own addresses: App Runner's hosts, or a load
    balancer's test listener.
    """

    postgres: int
    valkey: int
    edge: int
    ingress: int
    moto: int
    endpoint: int


@dataclass(frozen=True)
class Environment:
    """`environment.json`: what was decided when the environment was made; it never changes, but for ports at a first start."""

    registry: Path
    image_tag: str
    repository: str
    ports: Ports
    postgres_home: Path
    key_value_store_id: str
    platform: str = "apprunner"

    @property
    def key_value_store_arn(self) -> str:
        """The ARN of the edge's key value store."""
        return f"arn:aws:cloudfront::{ACCOUNT_ID}:key-value-store/{self.key_value_store_id}"

    @property
    def moto_url(self) -> str:
        """Where all AWS services answer that moto covers."""
        return f"http://127.0.0.1:{self.ports.moto}"

    @property
    def endpoint_url(self) -> str:
        """Where App Runner and the KeyValueStore answer."""
        return f"http://127.0.0.1:{self.ports.endpoint}"

    @property
    def live_url(self) -> str:
        """The live domain, by way of the edge."""
        return f"http://api.telehealth.localhost:{self.ports.edge}"

    def colour_url(self, colour: str) -> str:
        """Where the load balancer's test listener reaches one colour alone."""
        return f"http://{colour}.telehealth.localhost:{self.ports.ingress}"

    @property
    def service_domain(self) -> str:
        """What App Runner's service hosts end in, with the ingress's port."""
        return f"{REGION}.awsapprunner.localhost:{self.ports.ingress}"


@dataclass(frozen=True)
class Layout:
    """Paths below one state folder (absolute); making a Layout touches nothing."""

    state: Path

    @property
    def environment(self) -> Path:
        """The record that makes the folder an environment's."""
        return self.state / "environment.json"

    @property
    def secrets(self) -> Path:
        """Passwords and keys of this environment, 0600."""
        return self.state / "secrets.json"

    @property
    def outputs(self) -> Path:
        """What the deployer needs to know, 0600."""
        return self.state / "outputs.json"

    @property
    def owner(self) -> Path:
        """The run that started the environment for itself alone; absent where it stays until `down`."""
        return self.state / "owner.json"

    @property
    def lock(self) -> Path:
        """Held by an `up` or `down` at work."""
        return self.state / "lock"

    @property
    def logs(self) -> Path:
        """One log per process; the endpoint adds the services'."""
        return self.state / "logs"

    @property
    def images(self) -> Path:
        """Content-addressed images: `sha256-<hex>/content`."""
        return self.state / "images"

    @property
    def aws(self) -> Path:
        """The App Runner and KeyValueStore endpoint's own folder; its instances work below it."""
        return self.state / "aws"

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
        """`<host>/127.0.0.1:<port>`: what Caddy's ingress reads."""
        return self.run / "ingress"

    @property
    def listeners(self) -> Path:
        """`<listener port>/<slot>`: what Caddy reads where it is a load balancer."""
        return self.run / "listeners"

    @property
    def edge_route(self) -> Path:
        """The one line that Caddy's edge reads."""
        return self.run / "edge" / "route"

    @property
    def data(self) -> Path:
        """Data of Valkey and moto, and of PostgreSQL where the server's user can reach it."""
        return self.state / "data"

    def owned(self) -> tuple[Path, ...]:
        """Everything that `down` removes: our own names only, never the folder's other content."""
        folders = (self.logs, self.images, self.aws, self.run, self.data)
        return (self.owner, self.outputs, self.secrets, *folders, self.environment)

    def make(self) -> None:
        """Makes the folders; the state folder is traversable by others (PostgreSQL's user), its content is not readable."""
        for folder in (
            self.logs,
            self.images,
            self.aws,
            self.processes,
            self.ingress,
            self.listeners,
            self.edge_route.parent,
        ):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.data.mkdir(exist_ok=True, mode=0o711)
        for folder in (self.logs, self.images, self.aws, self.run):
            folder.chmod(0o700)


def choose_ports() -> Ports:
    """Six different free ports; all are held until the last is chosen, so that none is given twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(6)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return Ports(*(int(probe.getsockname()[1]) for probe in sockets))


def write_environment(layout: Layout, environment: Environment) -> None:
    """Writes environment.json atomically."""
    document = {"schema": SCHEMA, **asdict(environment)}
    replace_json(layout.environment, json.loads(json.dumps(document, default=str)))


def read_environment(layout: Layout) -> Environment | None:
    """The record of the folder's environment, or None where it holds none."""
    try:
        document = json.loads(layout.environment.read_text())
    except FileNotFoundError:
        return None
    document.pop("schema")
    document["ports"] = Ports(**document["ports"])
    document["registry"] = Path(document["registry"])
    document["postgres_home"] = Path(document["postgres_home"])
    return Environment(**document)
