"""The endpoint for what moto lacks: App Runner and CloudFront's KeyValueStore, or ECS and Elastic Load Balancing.

moto has the latter two, but runs no task and finds every target healthy.
"""

from __future__ import annotations

from infrastructure.embedded.layout import ACCOUNT_ID, REGION, Environment, Layout
from infrastructure.embedded.processes import python_server
from infrastructure.embedded.processes.lifecycle import ProcessSpec


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """The endpoint on its port; after a kill -9 a new one adopts the instances that still run."""
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
    return python_server.spec(layout, "endpoint", "infrastructure.embedded.aws", environment.ports.endpoint, config)
