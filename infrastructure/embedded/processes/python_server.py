"""Our own servers in Python, moto and the endpoint: configured by a file, and without the caller's AWS settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from infrastructure.embedded.files import replace_json
from infrastructure.embedded.layout import ACCOUNT_ID, PROJECT_ROOT, REGION, Environment, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, clean_environment
from infrastructure.embedded.processes.probes import http_status

READY_PATH = "/_ready"


def moto(layout: Layout, environment: Environment) -> ProcessSpec:
    """Return the spec of moto, which saves DynamoDB, Secrets Manager, ECR and S3 before it answers."""
    config = {"data_dir": str(layout.data / "moto")}
    return _spec(layout, "moto", "infrastructure.embedded.processes.moto_server", environment.ports.moto, config)


def endpoint(layout: Layout, environment: Environment) -> ProcessSpec:
    """Return the spec of the endpoint for the services that moto lacks.

    These are App Runner and CloudFront's KeyValueStore, or ECS and Elastic Load Balancing. moto has the latter two, but
    it runs no task and reports every target as healthy. After a kill -9 a new endpoint adopts the instances that still
    run.
    """
    config = {
        "state_dir": str(layout.aws),
        "images_dir": str(layout.images),
        "log_dir": str(layout.logs),
        "account_id": ACCOUNT_ID,
        "region": REGION,
        "aws_endpoint": environment.moto_url,
        "service_domain": environment.service_domain,
        "ingress_dir": str(layout.ingress),
        "key_value_store_arn": environment.key_value_store_arn,
        "edge_route_file": str(layout.edge_route),
        "platform": environment.platform,
        "listener_ports": [environment.ports.edge, environment.ports.ingress],
        "listener_dir": str(layout.listeners),
    }
    return _spec(layout, "endpoint", "infrastructure.embedded.aws", environment.ports.endpoint, config)


def answers(port: int) -> bool:
    """Return whether the server answers."""
    return http_status(port, READY_PATH) == 200


def _spec(layout: Layout, name: str, module: str, port: int, config: Mapping[str, Any]) -> ProcessSpec:
    """Return the spec of `python -m module FILE`; the file holds the loopback host, the port and `config`."""
    file = layout.run / f"{name}.json"
    return ProcessSpec(
        name=name,
        argv=[sys.executable, "-m", module, str(file)],
        environment=clean_environment(layout.run, AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"),
        cwd=PROJECT_ROOT,
        port=port,
        ready=partial(answers, port),
        prepare=partial(replace_json, file, {"host": "127.0.0.1", "port": port, **config}),
    )
