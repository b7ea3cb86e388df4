"""Servers of our own, in Python: configured by a file, ready when they say so, and deaf to what AWS settings the caller has."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from infrastructure.embedded.files import replace_json
from infrastructure.embedded.layout import PROJECT_ROOT, Layout
from infrastructure.embedded.processes.lifecycle import ProcessSpec, clean_environment
from infrastructure.embedded.processes.probes import http_status

READY_PATH = "/_ready"


def spec(layout: Layout, name: str, module: str, port: int, config: Mapping[str, Any]) -> ProcessSpec:
    """`python -m module FILE` on that port of loopback, which the file names beside what is in `config`."""
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


def answers(port: int) -> bool:
    """Whether the server answers."""
    return http_status(port, READY_PATH) == 200
