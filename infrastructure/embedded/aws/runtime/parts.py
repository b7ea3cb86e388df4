"""The parts of the endpoint that both platforms use."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

from infrastructure.embedded.aws.clients import AwsClients
from infrastructure.embedded.aws.config import EndpointConfig
from infrastructure.embedded.aws.runtime.images import Images
from infrastructure.embedded.aws.runtime.instances import Processes


@dataclass(frozen=True)
class Parts:
    """One of each per endpoint; `stopping` is set once the endpoint shuts down."""

    config: EndpointConfig
    stopping: Event
    clients: AwsClients
    processes: Processes
    images: Images
