"""The messages that a subscriber of the topic receives."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from deployment.errors import NotFound
from deployment.model import Notice, NoticeKind, Reason
from infrastructure.aws.session import Clients
from infrastructure.aws.sns import SnsNotifier, body, subject

NOTICE = Notice(
    NoticeKind.REJECTED,
    "20261125-120000-green-abc123",
    "production",
    "green",
    "telehealth-api:1.1.0",
    "sha256:" + "b" * 64,
    "arn:aws:iam::123456789012:role/deployer",
    "reports/20261125-120000-green-abc123",
    Reason("health", "test_version: it says 1.0.0"),
)


def subscribed(clients: Clients) -> tuple[str, str]:
    """Create a topic, and a queue subscribed to it; return the topic's ARN and the queue's URL."""
    name = f"t{uuid4().hex}"
    topic = str(clients.call("sns", "CreateTopic", Name=name)["TopicArn"])
    queue = str(clients.call("sqs", "CreateQueue", QueueName=name)["QueueUrl"])
    arn = topic.replace(":sns:", ":sqs:")
    clients.call("sns", "Subscribe", TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return topic, queue


def received(clients: Clients, queue: str) -> list[dict[str, Any]]:
    answer = clients.call("sqs", "ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", ())]


def test_a_subscriber_gets_the_whole_notice(clients: Clients) -> None:
    topic, queue = subscribed(clients)
    SnsNotifier(clients, topic).send(NOTICE)
    [envelope] = received(clients, queue)
    assert envelope["Subject"] == "[production] rejected: telehealth-api:1.1.0 on green"
    assert envelope["MessageAttributes"]["event"]["Value"] == "rejected"
    message = json.loads(envelope["Message"])
    assert message == {
        "event": "rejected",
        "deployment_id": NOTICE.deployment_id,
        "environment": "production",
        "target": "green",
        "image": NOTICE.image,
        "digest": NOTICE.digest,
        "actor": NOTICE.actor,
        "report": NOTICE.report,
        "reason": "health: test_version: it says 1.0.0",
        "gate": "health",
        "interrupted": False,
    }


@pytest.mark.parametrize(
    "reason",
    [
        "interrupted by SIGTERM (sent to the process)",
        "the run died in phase VERIFYING",
        "the run was stopped before all checks had run",
    ],
)
def test_message_of_an_interrupted_run_does_not_blame_the_release(reason: str) -> None:
    notice = replace(NOTICE, reason=Reason("verify", reason))
    assert subject(notice) == "[production] rejected (interrupted): telehealth-api:1.1.0 on green"
    assert body(notice)["interrupted"] is True


def test_missing_topic_is_not_found(clients: Clients) -> None:
    with pytest.raises(NotFound, match="sns Publish"):
        SnsNotifier(clients, "arn:aws:sns:us-east-1:123456789012:gone").send(NOTICE)


def test_subject_obeys_the_limits_of_sns() -> None:
    line = subject(replace(NOTICE, environment="prod\u00fcktion\n", image="x" * 200))
    assert len(line) < 100
    assert line.isascii()
    assert line.isprintable()
