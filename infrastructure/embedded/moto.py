"""moto's server: the AWS services that it covers, on loopback, with a state that survives it."""

from __future__ import annotations

import sys
from functools import partial

from .aws.files import replace_json
from .layout import PROJECT_ROOT, Environment, Layout
from .probes import http_status
from .processes import ProcessSpec, clean_environment

READY_PATH = "/_ready"


def spec(layout: Layout, environment: Environment) -> ProcessSpec:
    """moto on its port; DynamoDB, Secrets Manager, ECR and S3 are saved before each answer and read again at its start."""
    port = environment.ports.moto
    config = layout.run / "moto.json"
    document = {"host": "127.0.0.1", "port": port, "data_dir": str(layout.data / "moto")}
    return ProcessSpec(
        name="moto",
        argv=[sys.executable, "-m", "infrastructure.embedded.moto_server", str(config)],
        environment=clean_environment(layout.run, AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null"),
        cwd=PROJECT_ROOT,
        port=port,
        ready=partial(answers, port),
        prepare=partial(replace_json, config, document),
    )


def answers(port: int) -> bool:
    """Whether moto answers."""
    return http_status(port, READY_PATH) == 200
