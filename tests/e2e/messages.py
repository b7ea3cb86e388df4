"""The messages that the team received, read from the queue that is subscribed to the environment's topic."""

from __future__ import annotations

import json
from typing import Any

from infrastructure.aws.session import Connection, Credentials, clients_for
from infrastructure.embedded import cloud
from tests.e2e.sandbox import Sandbox


def messages(sandbox: Sandbox, deployment_id: str) -> list[dict[str, Any]]:
    """Return every message about one deployment, oldest first; messages about other deployments are deleted."""
    outputs = cloud.outputs(sandbox.state)
    assert outputs is not None, "an environment is up"
    keys = Credentials(outputs.credentials.access_key_id, outputs.credentials.secret_access_key)
    clients = clients_for(Connection(outputs.region, outputs.account_id, None, keys, outputs.endpoints))
    url = clients.call("sqs", "GetQueueUrl", QueueName=outputs.notifications_queue)["QueueUrl"]
    found: list[dict[str, Any]] = []
    while batch := clients.call("sqs", "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in batch:
            found.append(json.loads(message["Body"]))
            clients.call("sqs", "DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return [message for message in found if message["deployment_id"] == deployment_id]
