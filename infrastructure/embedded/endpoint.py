"""The endpoint for what moto lacks: App Runner and CloudFront's KeyValueStore, or ECS and Elastic Load Balancing.

moto has the latter two, but runs no task and finds every target healthy.
"""

from __future__ import annotations

import sys
from functools import partial

from .aws.files import replace_json
from .layout import ACCOUNT_ID, PROJECT_ROOT, REGION, Environment, Layout
from .probes import http_status
from .processes import ProcessSpec, clean_environment

NAME = "endpoint"


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """The endpoint on its port; after a kill -9 a new one adopts the instances that still run."""
    port = environment.ports.endpoint
    config = layout.run / "endpoint.json"
    document = {
        "host": "127.0.0.1",
        "port": port,
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
    return ProcessSpec(
        name=NAME,
        argv=[sys.executable, "-m", "infrastructure.embedded.aws", str(config)],
        environment=clean_environment(layout.run, AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"),
        cwd=PROJECT_ROOT,
        port=port,
        ready=partial(answers, port),
        prepare=partial(replace_json, config, document),
    )


def answers(port: int) -> bool:
    """Whether the endpoint answers."""
    return http_status(port, "/_ready") == 200
