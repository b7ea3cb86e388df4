"""The services: kept in memory, and each in a small JSON file that is replaced before a change becomes visible."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from threading import RLock

from infrastructure.embedded import files
from infrastructure.embedded.aws.apprunner.records import Operation, Service, from_json, to_json
from infrastructure.embedded.aws.errors import not_found

OPERATIONS_KEPT = 200


class Store:
    """All services. Changes run one at a time and are on the disk when they return."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = RLock()
        folder.mkdir(parents=True, exist_ok=True)
        read = [from_json(json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
        self._services = {service.arn: service for service in read}

    def locked(self) -> AbstractContextManager[bool]:
        """Return the lock that keeps other changes off between a decision and the change that follows from it."""
        return self._lock

    def all(self) -> list[Service]:
        """Return every service, including deleted ones, oldest first."""
        with self._lock:
            return sorted(self._services.values(), key=lambda service: (service.created_at, service.id))

    def get(self, arn: str) -> Service:
        """Return the service with that ARN. Raises ResourceNotFoundException if there is none."""
        with self._lock:
            if arn not in self._services:
                raise not_found(f"Service with ARN {arn} does not exist")
            return self._services[arn]

    def put(self, service: Service) -> Service:
        """Store a record in place of the one with the same ARN, and return it."""
        with self._lock:
            files.replace_json(self._folder / f"{service.id}.json", to_json(service))
            self._services[service.arn] = service
            return service

    def change(self, arn: str, change: Callable[[Service], Service]) -> Service:
        """Replace a record by the result of `change`, and return it."""
        with self._lock:
            return self.put(replace(change(self.get(arn)), updated_at=time.time()))


def with_operation(service: Service, operation: Operation) -> Service:
    """Return the service with an operation added in front, or replaced if it has the operation already."""
    others = [known for known in service.operations if known.id != operation.id]
    if len(others) < len(service.operations):
        renewed = tuple(operation if known.id == operation.id else known for known in service.operations)
        return replace(service, operations=renewed)
    return replace(service, operations=(operation, *others)[:OPERATIONS_KEPT])


def with_operation_status(service: Service, operation_id: str, status: str, *, ended: bool = False) -> Service:
    """Return the service with a new status of that operation, changed now."""
    now = time.time()
    operation = replace(service.operation(operation_id), status=status, updated_at=now, ended_at=now if ended else None)
    return with_operation(service, operation)
