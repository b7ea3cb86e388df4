"""Logs under AWS's names: written to files first, and delivered from there to CloudWatch Logs.

The path of a file is the name of its stream: `<log_dir>/aws/apprunner/NAME/ID/service/events.log` is the stream
`events` of the group `/aws/apprunner/NAME/ID/service`. An instance writes to its file itself, so no line is lost if
this process is killed or CloudWatch Logs does not answer: the background thread delivers the lines later.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import quote, unquote

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.embedded import files
from infrastructure.embedded.aws.clients import AwsClients

BATCH_BYTES = 500_000
BATCH_EVENTS = 5_000
"""PutLogEvents accepts 1 MB and 10,000 events; half of that leaves room for the overhead of each event."""
LONGEST_LINE = 100_000
PERIOD_S = 0.5
LONGEST_PAUSE_S = 5.0

_log = logging.getLogger(__name__)


def awslogs_file(root: Path, group: str, stream: str) -> Path:
    """Return the file of a stream of the log driver awslogs."""
    return root / "awslogs" / quote(group, safe="") / f"{stream}.log"


class ServiceLogs:
    """The log files of one service."""

    def __init__(self, root: Path, name: str, service_id: str) -> None:
        self._root = root / "aws" / "apprunner" / name / service_id
        self._lock = Lock()

    def event(self, text: str) -> None:
        """Append a line to the service's stream `events`."""
        self._append(self._root / "service" / "events.log", text)

    def deployment(self, operation_id: str, text: str) -> None:
        """Append a line to the stream of a deployment."""
        self._append(self._root / "service" / "deployment" / f"{operation_id}.log", text)

    def instance(self, instance_id: str) -> Path:
        """Return the file for an instance's output."""
        return self._root / "application" / "instance" / f"{instance_id}.log"

    def _append(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        with self._lock, path.open("a") as stream:
            stream.write(f"{stamp}Z {' '.join(text.splitlines())}\n")


def apprunner_stream(path: Path) -> tuple[str, str]:
    """Return App Runner's group and stream for a file `apprunner/NAME/ID/service/events.log` below `aws/`."""
    return "/aws/" + "/".join(path.parts[:4]), "/".join(path.parts[4:])


def awslogs_stream(path: Path) -> tuple[str, str]:
    """Return group and stream of a file below `awslogs/`; the first folder is the group's name, percent-encoded."""
    return unquote(path.parts[0]), "/".join(path.parts[1:])


class LogDelivery:
    """A thread that delivers new lines; it never blocks an operation and survives any answer of CloudWatch Logs."""

    def __init__(
        self,
        root: Path,
        offsets: Path,
        clients: AwsClients,
        stream_of: Callable[[Path], tuple[str, str]] = apprunner_stream,
    ) -> None:
        self._root = root
        self._stream_of = stream_of
        self._offsets_file = offsets
        self._clients = clients
        self._offsets: dict[str, int] = _read_offsets(offsets)
        self._known: set[tuple[str, str]] = set()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="log-delivery", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, within_s: float = 2.0) -> None:
        """Deliver the remaining lines, for at most `within_s` seconds, and end the thread."""
        self._stop.set()
        self._thread.join(within_s)

    def _run(self) -> None:
        pause = PERIOD_S
        while True:
            last = self._stop.is_set()
            try:
                self._deliver_all()
                pause = PERIOD_S
            except (BotoCoreError, ClientError, OSError) as exc:
                pause = min(pause * 2, LONGEST_PAUSE_S)
                _log.debug("CloudWatch Logs does not answer (%s); next try in %.1f s", type(exc).__name__, pause)
            except Exception:
                pause = LONGEST_PAUSE_S
                _log.exception("log delivery failed")
            if last:
                return
            self._stop.wait(pause)

    def _deliver_all(self) -> None:
        before = dict(self._offsets)
        try:
            for path in sorted(self._root.rglob("*.log")):
                self._deliver(path)
        finally:
            if self._offsets != before:
                files.replace_json(self._offsets_file, self._offsets)

    def _deliver(self, path: Path) -> None:
        key = str(path.relative_to(self._root))
        start = self._offsets.get(key, 0)
        if path.stat().st_size <= start:
            return
        with path.open("rb") as stream:
            stream.seek(start)
            data = stream.read(BATCH_BYTES)
        complete = data[: data.rfind(b"\n") + 1] or (data if len(data) >= LONGEST_LINE else b"")
        lines = complete.splitlines(keepends=True)[:BATCH_EVENTS]
        if lines:
            self._put(Path(key), [line.decode(errors="replace").rstrip("\n")[:LONGEST_LINE] for line in lines])
            self._offsets[key] = start + sum(len(line) for line in lines)

    def _put(self, name: Path, lines: list[str]) -> None:
        group, file = self._stream_of(name)
        stream = file.removesuffix(".log")
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line or " "} for line in lines]
        client = self._clients.get("logs")
        self._ensure(client, group, stream)
        try:
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)
        except client.exceptions.ResourceNotFoundException:
            self._known.discard((group, stream))  # CloudWatch Logs has lost it; the next try creates it again
            raise

    def _ensure(self, client: Any, group: str, stream: str) -> None:
        if (group, stream) in self._known:
            return
        for make, names in (
            (client.create_log_group, {"logGroupName": group}),
            (client.create_log_stream, {"logGroupName": group, "logStreamName": stream}),
        ):
            try:
                make(**names)
            except client.exceptions.ResourceAlreadyExistsException:
                continue
        self._known.add((group, stream))


def _read_offsets(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(offset) for name, offset in json.loads(path.read_text()).items()}
    except (OSError, ValueError):
        return {}
