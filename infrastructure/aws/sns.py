"""The team's messages on an SNS topic: JSON, under a subject that summarises the event."""

from __future__ import annotations

import json
from dataclasses import asdict

from deployment.model import Notice
from infrastructure.aws.session import Clients

_LONGEST_SUBJECT = 99  # SNS takes fewer than 100 characters, ASCII without control characters


class SnsNotifier:
    """The Notifier port on a standard topic; the caller needs sns:Publish on it."""

    def __init__(self, clients: Clients, topic: str) -> None:
        self._clients = clients
        self._topic = topic

    def send(self, notice: Notice) -> None:
        """Publish the notice; subscriptions can filter by its attributes ``event`` and ``environment``. Raises CloudError."""
        attributes = {"event": notice.kind.value, "environment": notice.environment}
        self._clients.call(
            "sns",
            "Publish",
            TopicArn=self._topic,
            Subject=subject(notice),
            Message=json.dumps(body(notice), indent=2),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )


def subject(notice: Notice) -> str:
    """Return one line for an e-mail: environment, event, release, colour."""
    event = f"{notice.kind.value} (interrupted)" if notice.interrupted else notice.kind.value
    line = f"[{notice.environment}] {event}: {notice.image} on {notice.target}"
    return "".join(one if " " <= one <= "~" else "?" for one in line)[:_LONGEST_SUBJECT]


def body(notice: Notice) -> dict[str, str | bool | None]:
    """Return the message: the notice's fields, ``event``, ``gate`` and ``interrupted``. New fields may come; none changes its meaning."""
    fields = {key: value for key, value in asdict(notice).items() if key != "kind"}
    reason = str(notice.reason) if notice.reason else None
    return {
        "event": notice.kind.value,
        **fields,
        "reason": reason,
        "gate": notice.gate,
        "interrupted": notice.interrupted,
    }
