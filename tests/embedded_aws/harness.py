"""The real endpoint as a process, images created by the tests, and boto3 clients for it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import boto3
import botocore.session
import httpx
import psutil
from botocore.config import Config

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION = "123456789012", "us-east-1"
KVS_ARN = f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/{uuid.UUID(int=7)}"
BOGUS = dict.fromkeys(("AWS_ENDPOINT_URL", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9") | {
    "AWS_PROFILE": "no-such-profile",
    "AWS_REGION": "eu-west-1",
    "CANARY": "of the caller",
}
"""Environment variables of a caller that must have no effect."""
WEB = """
import http.server, json, os, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = int(os.environ.get("HEALTH", "200")) if self.path == "/health" else 200
        body = json.dumps({"version": open("VERSION").read(), "pid": os.getpid(), "env": dict(os.environ)}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
if os.environ.get("EXIT"):
    sys.exit(int(os.environ["EXIT"]))
print("serving", open("VERSION").read(), flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], T], within_s: float = 15.0) -> T:
    """Return the first truthy value of `condition`; fail after `within_s` seconds. Transport errors mean "not yet"."""
    deadline = time.monotonic() + within_s
    while True:
        with suppress(httpx.TransportError):
            value = condition()
            if value:
                return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(0.03)


@cache
def boto() -> boto3.session.Session:
    """Return one session for all tests: reading the services' models is the slow part of creating a client."""
    core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.session.Session(botocore_session=core)


def client(service: str, endpoint: str, **config: Any) -> Any:
    """Return a client without retries for an endpoint."""
    return boto().client(
        service,
        region_name=REGION,
        endpoint_url=endpoint,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(ignore_configured_endpoint_urls=True, retries={"total_max_attempts": 1}, **config),
    )


def run(arguments: list[str], log: Path, **ambient: str) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=os.environ | ambient,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def stop(process: subprocess.Popen[bytes]) -> int:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(5)


@contextmanager
def moto_server(folder: Path) -> Iterator[str]:
    """Run a moto server while the block lasts; yield its URL."""
    port = free_port()
    process = run(["-m", "moto.server", "-p", str(port)], folder / "moto.log")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: httpx.get(f"{url}/moto-api/data.json", trust_env=False).status_code == 200, 30)
        yield url
    finally:
        stop(process)


@dataclass
class Endpoint:
    """One endpoint process with its own folders."""

    folder: Path
    aws_endpoint: str
    settings: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_config(self) -> Path:
        """Write CONFIG.json with short times; return its path."""
        document = {
            "host": "127.0.0.1",
            "port": self.port,
            "account_id": ACCOUNT,
            "region": REGION,
            "aws_endpoint": self.aws_endpoint,
            "service_domain": "us-east-1.awsapprunner.localhost:41003",
            "key_value_store_arn": KVS_ARN,
            "state_dir": str(self.folder / "aws"),
            "images_dir": str(self.folder / "images"),
            "log_dir": str(self.folder / "logs"),
            "ingress_dir": str(self.folder / "ingress"),
            "edge_route_file": str(self.folder / "edge" / "route"),
            "start_timeout_s": 30,
            "release_timeout_s": 120,
            "drain_s": 0.1,
            "stop_grace_s": 2,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "config.json"
        file.write_text(json.dumps(document | self.settings))
        return file

    def start(self) -> Endpoint:
        """Start the process and wait until it is ready."""
        arguments = ["-m", "infrastructure.embedded.aws", str(self.write_config())]
        self.process = run(arguments, self.folder / "endpoint.log", **BOGUS)
        wait_for(self.ready)
        return self

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "endpoint.log").read_text()
        return httpx.get(f"{self.url}/_ready", trust_env=False).status_code == 200

    def stop(self) -> int:
        return stop(self.process) if self.process else 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(5)

    @contextmanager
    def running(self) -> Iterator[Endpoint]:
        """Start the endpoint; stop it and its processes at the end of the block."""
        with self.cleared():
            yield self.start()

    @contextmanager
    def cleared(self) -> Iterator[Endpoint]:
        """Yield the endpoint without starting it; at the end stop it and kill all its processes, even after a kill."""
        try:
            yield self
        finally:
            self.stop()
            for process in self.leftovers():
                with suppress(psutil.NoSuchProcess):
                    process.kill()

    def leftovers(self) -> list[psutil.Process]:
        """Return the processes that work in a folder of this endpoint."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if Path(process.cwd()).is_relative_to(self.folder):
                    found.append(process)
        return found

    def image(self, version: str, web: str = "python web.py", release: str | None = None) -> str:
        """Write an image into the images folder; return its digest."""
        procfile = f"web: {web}\n" + (f"release: {release}\n" if release else "")
        digest = hashlib.sha256((version + procfile).encode()).hexdigest()
        content = self.folder / "images" / f"sha256-{digest}" / "content"
        content.mkdir(parents=True, exist_ok=True)
        (content / "VERSION").write_text(version)
        (content / "Procfile").write_text(procfile)
        (content / "web.py").write_text(WEB)
        return f"sha256:{digest}"

    def upstream(self, service: dict[str, Any]) -> str | None:
        """Return the URL that the ingress sends the service's host to, or None."""
        host = service["ServiceUrl"].partition(":")[0]
        found = list((self.folder / "ingress" / host).glob("*"))
        return f"http://{found[0].name}" if found else None

    def get(self, service: dict[str, Any]) -> dict[str, Any]:
        """Send a request to the service's instance, found through the ingress file; return its JSON."""
        upstream = self.upstream(service)
        assert upstream is not None
        answer: dict[str, Any] = httpx.get(upstream, trust_env=False).json()
        return answer


ROLES = {"access": f"arn:aws:iam::{ACCOUNT}:role/access", "instance": f"arn:aws:iam::{ACCOUNT}:role/instance"}
REPOSITORY = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/telehealth-api"
HEALTH = {"Protocol": "HTTP", "Path": "/health", "Interval": 1, "Timeout": 2, "HealthyThreshold": 1}


def source(image: str, secrets: dict[str, str] | None = None, **variables: str) -> dict[str, Any]:
    """Return a SourceConfiguration for a digest or for `:tag`."""
    identifier = f"{REPOSITORY}@{image}" if image.startswith("sha256:") else f"{REPOSITORY}{image}"
    configuration: dict[str, Any] = {"Port": "3000", "RuntimeEnvironmentVariables": variables}
    if secrets:
        configuration["RuntimeEnvironmentSecrets"] = secrets
    return {
        "ImageRepository": {
            "ImageIdentifier": identifier,
            "ImageRepositoryType": "ECR",
            "ImageConfiguration": configuration,
        },
        "AutoDeploymentsEnabled": False,
        "AuthenticationConfiguration": {"AccessRoleArn": ROLES["access"]},
    }


def creation(name: str, image: str, secrets: dict[str, str] | None = None, **variables: str) -> dict[str, Any]:
    """Return CreateService's members for a healthy service."""
    return {
        "ServiceName": name,
        "SourceConfiguration": source(image, secrets, **variables),
        "InstanceConfiguration": {"InstanceRoleArn": ROLES["instance"]},
        "HealthCheckConfiguration": HEALTH,
    }


def outcome(apprunner: Any, arn: str, operation_id: str, within_s: float = 15.0) -> str:
    """Wait for the end of an operation; return its final status."""

    def ended() -> str | None:
        operations = apprunner.list_operations(ServiceArn=arn)["OperationSummaryList"]
        operation = next(one for one in operations if one["Id"] == operation_id)
        return operation["Status"] if "EndedAt" in operation else None

    status = wait_for(ended, within_s)
    assert status is not None
    return status


def created(apprunner: Any, **members: Any) -> dict[str, Any]:
    """Create a service, wait until it runs and return it."""
    answer = apprunner.create_service(**members)
    assert outcome(apprunner, answer["Service"]["ServiceArn"], answer["OperationId"]) == "SUCCEEDED"
    service: dict[str, Any] = apprunner.describe_service(ServiceArn=answer["Service"]["ServiceArn"])["Service"]
    return service


def updated(apprunner: Any, service: dict[str, Any], **members: Any) -> str:
    """Call UpdateService and return the operation's final status."""
    answer = apprunner.update_service(ServiceArn=service["ServiceArn"], **members)
    return outcome(apprunner, service["ServiceArn"], answer["OperationId"])


def keyvaluestore(endpoint: str, **config: Any) -> Any:
    """Return a client that removes the account id from the host, as a deployer with an endpoint override does."""
    made = client("cloudfront-keyvaluestore", endpoint, **config)

    def remove_account(request: Any, **_: Any) -> None:
        request.url = request.url.replace(f"//{ACCOUNT}.", "//", 1)

    made.meta.events.register("before-sign.cloudfront-keyvaluestore", remove_account)
    return made
