"""The enforcement of a role's policies on every call that boto3 makes, before the call is sent.

``install`` is for one process. ``variables`` gives environment variables with which every Python process enforces, children
included: they put ``tests/permissions/everywhere`` on the path, whose ``sitecustomize`` calls ``install_from_environment``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import botocore

from deployment import project
from tests.permissions.calls import Place, requests
from tests.permissions.policies import Policy, Request, allowed

if TYPE_CHECKING:  # it imports boto3, which every process of a command would load
    from infrastructure.aws.session import Clients

FILE = "ENFORCED_ROLE"
"""The environment variable that names the file with the role's policies."""
SETTINGS = "ENFORCED_SETTINGS"
"""The environment variable that names the deployment.toml to use."""
ROOT = Path(__file__).resolve().parents[2]
_PARAMETERS = "enforced parameters"


@dataclass(frozen=True)
class Enforcement:
    """A role's policies and its estate; each call is appended to ``log``, one JSON object a line."""

    place: Place
    policies: Sequence[Policy]
    log: Path

    def save(self, path: Path) -> Mapping[str, str]:
        """Write the file for other processes; return the environment variables with which they enforce it."""
        path.write_text(json.dumps({"place": asdict(self.place), "policies": self.policies, "log": str(self.log)}))
        here = os.pathsep.join(map(str, (Path(__file__).with_name("everywhere"), ROOT)))
        return {FILE: str(path), "PYTHONPATH": here}

    def register(self, events: Any) -> None:
        """Register the enforcement with the event emitter of a botocore session or of a client."""
        events.register("before-parameter-build", _remember)
        events.register_first("before-call", self._judge)

    def enforce(self, clients: Clients) -> None:
        """Register the enforcement with clients that have made no call yet."""
        self.register(clients._session._session.get_component("event_emitter"))

    def denied(self, service: str, operation: str, given: Mapping[str, Any]) -> Request | None:
        """Return the first request of a call that the policies do not allow; None if they allow the call."""
        found = requests(self.place, service, operation, given)
        denied = next((one for one in found if not allowed(self.policies, one)), None)
        line = {"actions": [one.action for one in found], "denied": None if denied is None else denied.action}
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return denied

    def _judge(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, Any] | None:
        service = str(model.service_model.service_name)
        denied = self.denied(service, model.name, context.get(_PARAMETERS, {}))
        if denied is None:
            return None
        message = f"the role is not authorized to perform: {denied.action} on resource: {denied.resource}"
        error = {"Code": _CODES.get(service, "AccessDeniedException"), "Message": message}
        answer = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403, "HTTPHeaders": {}, "RetryAttempts": 0}}
        return SimpleNamespace(status_code=403, headers={}), answer


_CODES = {
    "elbv2": "AccessDenied",
    "cloudwatch": "AccessDenied",
    "iam": "AccessDenied",
    "route53": "AccessDenied",
    "s3": "AccessDenied",
    "sns": "AuthorizationError",
}
"""The code of a denied call by service."""


def _remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_PARAMETERS] = dict(params)


def install_from_environment() -> None:
    """Enforce the role on every botocore session of this process, and use the settings that the environment names."""
    if SETTINGS in os.environ:
        project.SETTINGS = os.environ[SETTINGS]  # an absolute path replaces the one below the project's folder
    kept = json.loads(Path(os.environ[FILE]).read_text(encoding="utf-8"))
    enforcement = Enforcement(Place(**kept["place"]), kept["policies"], Path(kept["log"]))
    botocore.register_initializer(lambda session: enforcement.register(session.get_component("event_emitter")))


def calls(log: Path) -> list[Mapping[str, Any]]:
    """Return the logged calls; empty if there were none."""
    text = log.read_text(encoding="utf-8") if log.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def actions(lines: Iterable[Mapping[str, Any]], *, denied: bool = False) -> list[str]:
    """Return the allowed actions of the lines, or with ``denied`` those that were denied; each once, sorted."""
    if denied:
        return sorted({line["denied"] for line in lines if line["denied"]})
    return sorted({action for line in lines if not line["denied"] for action in line["actions"]})
