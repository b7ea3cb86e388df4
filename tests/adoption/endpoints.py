"""An estate on AWS whose APIs answer on loopback: commands run in processes of their own, and no setting names an endpoint."""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "ADOPTED_ENDPOINTS"
ROOT = Path(__file__).resolve().parents[2]
SESSION = "infrastructure.aws.session"


def variables(endpoints: Mapping[str, str], access_key: str, secret_key: str, copy: Path) -> Mapping[str, str]:
    """Return the environment variables with which every Python process reaches AWS at these endpoints.

    ``copy`` is a copy of the project, without the tests, whose packages the processes use.
    """
    here = os.pathsep.join(map(str, (Path(__file__).with_name("loopback"), copy, ROOT)))
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return {VARIABLE: json.dumps(dict(endpoints)), "PYTHONPATH": here, **keys}


def install_from_environment() -> None:
    """Let every connection that has no endpoint use those of the environment.

    The module is changed when the process imports it: Locust's processes must not import boto3 before gevent.
    """
    sys.meta_path.insert(0, _Finder(json.loads(os.environ[VARIABLE])))


class _Finder:
    """Finds the module of the clients as Python does, and changes it after its execution."""

    def __init__(self, endpoints: Mapping[str, str]) -> None:
        self._endpoints = endpoints

    def find_spec(self, name: str, path: Sequence[str] | None, _target: Any = None) -> Any:
        """Return the changed specification of the module; None for other modules."""
        if name != SESSION:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        loader.exec_module = exec_module
        return spec

    def _change(self, session: Any) -> None:
        own = session.Connection.endpoint
        session.Connection.endpoint = lambda connection, service: (
            own(connection, service) or self._endpoints.get(service) or self._endpoints.get(session.ANY_SERVICE)
        )
