"""`python moto_server.py PORT`: moto, with the members of an ECS service and of a distribution that moto forgets.

moto accepts a capacity provider strategy, a deployment configuration and a grace period, and describes the service without them.
It accepts the functions of a distribution, and lists the distribution without them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from moto.cloudfront.models import DefaultCacheBehaviour
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.aws.serial_moto import one_at_a_time  # after the path is set

TARGET = "AmazonEC2ContainerServiceV20141113."
FORGOTTEN = (
    "capacityProviderStrategy",
    "deploymentConfiguration",
    "healthCheckGracePeriodSeconds",
    "platformVersion",
    "enableExecuteCommand",
)
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Remembering:
    """A WSGI application before moto: keeps each service's members, and adds them to the descriptions of ECS."""

    def __init__(self, moto: Application) -> None:
        self._moto = moto
        self._kept: dict[str, dict[str, Any]] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).removeprefix(TARGET)
        if operation not in ("CreateService", "UpdateService", "DescribeServices"):
            return self._moto(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        began: list[Any] = []
        document = json.loads(b"".join(self._moto(environ, lambda *given: began.append(given))))
        given = json.loads(body)
        for service in [*document.get("services", ()), *([document["service"]] if "service" in document else [])]:
            if operation != "DescribeServices":
                own = {name: given[name] for name in FORGOTTEN if name in given}
                self._kept[service["serviceArn"]] = self._kept.get(service["serviceArn"], {}) | own
            service |= self._kept.get(service["serviceArn"], {})
            if "capacityProviderStrategy" in service:
                service.pop("launchType", None)  # AWS has either of them
        answer = json.dumps(document).encode()
        status, headers, *_ = began[0]
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(answer)))])
        return [answer]


def keep_functions() -> None:
    """Let a distribution keep the functions of its default cache behaviour."""
    own = DefaultCacheBehaviour.__init__

    def kept(self: Any, config: dict[str, Any]) -> None:
        own(self, config)
        self.function_associations = config.get("FunctionAssociations") or {"Quantity": 0}

    DefaultCacheBehaviour.__init__ = kept  # moto has no hook for it


if __name__ == "__main__":
    keep_functions()
    make_server(
        "127.0.0.1", int(sys.argv[1]), Remembering(one_at_a_time), threaded=True, request_handler=MotoRequestHandler
    ).serve_forever()
