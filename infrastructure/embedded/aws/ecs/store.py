"""ECS's records: kept in memory, and each in a small JSON file that is replaced before a change becomes visible."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from threading import RLock
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from infrastructure.embedded import files
from infrastructure.embedded.aws.ecs.records import Cluster, Deployment, Revision, Service, Task, TaskDefinition
from infrastructure.embedded.aws.runtime.instances import Instance

Record = TypeVar("Record", Cluster, TaskDefinition, Service, Task)


class Table(Generic[Record]):
    """Records of one kind, by key; changes run one at a time and are on the disk when they return."""

    def __init__(self, folder: Path, lock: RLock, read: Callable[[dict[str, Any]], Record]) -> None:
        self._folder = folder
        self._lock = lock
        folder.mkdir(parents=True, exist_ok=True)
        known = [read(json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
        self._records: dict[str, Record] = {record.key: record for record in known}

    def all(self) -> list[Record]:
        """Return every record."""
        with self._lock:
            return list(self._records.values())

    def find(self, key: str) -> Record | None:
        """Return the record with that key, or None if there is none."""
        with self._lock:
            return self._records.get(key)

    def put(self, record: Record) -> Record:
        """Store a record in place of the one with the same key, and return it."""
        with self._lock:
            files.replace_json(self._file(record.key), asdict(record))
            self._records[record.key] = record
            return record

    def change(self, key: str, change: Callable[[Record], Record]) -> Record:
        """Replace a record by the result of `change`, and return it; write nothing if it is equal."""
        with self._lock:
            before = self._records[key]
            after = change(before)
            return before if after == before else self.put(after)

    def remove(self, key: str) -> None:
        """Remove a record."""
        with self._lock:
            self._file(key).unlink(missing_ok=True)
            self._records.pop(key, None)

    def _file(self, key: str) -> Path:
        return self._folder / f"{quote(key, safe='')}.json"


class Store:
    """All of ECS's records, under one lock."""

    def __init__(self, folder: Path) -> None:
        self._lock = RLock()
        self.clusters: Table[Cluster] = Table(folder / "clusters", self._lock, lambda read: Cluster(**read))
        self.definitions: Table[TaskDefinition] = Table(
            folder / "definitions", self._lock, lambda read: TaskDefinition(**read)
        )
        self.services: Table[Service] = Table(folder / "services", self._lock, _service)
        self.tasks: Table[Task] = Table(folder / "tasks", self._lock, _task)

    def locked(self) -> AbstractContextManager[bool]:
        """Return the lock that keeps other changes off between a decision and the change that follows from it."""
        return self._lock

    def tasks_of(self, service: str) -> list[Task]:
        """Return a service's tasks, oldest first, including stopped ones that are still kept."""
        found = [task for task in self.tasks.all() if task.service == service]
        return sorted(found, key=lambda task: (task.created_at, task.key))

    def definition(self, arn: str) -> TaskDefinition:
        """Return the task definition with a full ARN; definitions are never removed."""
        found = self.definitions.find(arn.rpartition("/")[2])
        if found is None:
            raise KeyError(arn)
        return found


def _service(read: dict[str, Any]) -> Service:
    deployments = tuple(Deployment(**one) for one in read["deployments"])
    history = tuple(Revision(**one) for one in read.get("history", ()))
    return Service(**read | {"deployments": deployments, "events": tuple(read["events"]), "history": history})


def _task(read: dict[str, Any]) -> Task:
    return Task(**read | {"instance": Instance(**read["instance"]) if read["instance"] else None})
