"""moto's server: the AWS services that it covers, on loopback, with a state that survives it."""

from __future__ import annotations

from infrastructure.embedded.layout import Environment, Layout
from infrastructure.embedded.processes import python_server
from infrastructure.embedded.processes.lifecycle import ProcessSpec


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """moto on its port; DynamoDB, Secrets Manager, ECR and S3 are saved before each answer and read again at its start."""
    config = {"data_dir": str(layout.data / "moto")}
    return python_server.spec(
        layout, "moto", "infrastructure.embedded.processes.moto_server", environment.ports.moto, config
    )
