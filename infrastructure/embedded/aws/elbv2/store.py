"""The load balancers: kept in memory and in one file that is replaced before a change becomes visible."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from threading import RLock

from infrastructure.embedded import files
from infrastructure.embedded.aws.elbv2.records import Address, Kind, Resource, Target, forwarded_groups
from infrastructure.embedded.aws.errors import AwsError

NOT_FOUND = {
    "loadbalancer": AwsError("LoadBalancerNotFound", "One or more load balancers not found"),
    "targetgroup": AwsError("TargetGroupNotFound", "One or more target groups not found"),
    "listener": AwsError("ListenerNotFound", "One or more listeners not found"),
    "listener-rule": AwsError("RuleNotFound", "One or more rules not found"),
}


class Store:
    """All load balancers. Changes run one at a time and are on the disk when they return."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = RLock()
        document = json.loads(file.read_text()) if file.exists() else {"resources": [], "targets": []}
        self._resources = {one["arn"]: Resource(**one) for one in document["resources"]}
        read = [Target(**one | {"address": Address(**one["address"])}) for one in document["targets"]]
        self._targets = {one.address: one for one in read}
        self.changed: Callable[[], None] = lambda: None
        """Called after each change, before the next one can begin."""

    def locked(self) -> AbstractContextManager[bool]:
        """Return the lock that keeps other changes off between a decision and the change that follows from it."""
        return self._lock

    def all(self, kind: Kind) -> list[Resource]:
        """Return every resource of a kind, oldest first."""
        with self._lock:
            return [one for one in self._resources.values() if one.kind == kind]

    def get(self, kind: Kind, arn: str) -> Resource:
        """Return the resource with that ARN. Raises the kind's NotFound."""
        with self._lock:
            found = self._resources.get(arn)
            if found is None or found.kind != kind:
                raise NOT_FOUND[kind]
            return found

    def put(self, *resources: Resource) -> None:
        """Store records in place of those with the same ARN."""
        with self._lock:
            self._resources |= {one.arn: one for one in resources}
            self._save()

    def targets(self, group_arn: str | None = None) -> list[Target]:
        """Return the targets of a group, or all targets."""
        with self._lock:
            return [one for one in self._targets.values() if group_arn in (None, one.address.group_arn)]

    def target(self, address: Address) -> Target | None:
        """Return a target, or None if it is not registered."""
        with self._lock:
            return self._targets.get(address)

    def put_targets(self, targets: Iterable[Target]) -> None:
        """Store targets in place of those with the same address."""
        with self._lock:
            self._targets |= {one.address: one for one in targets}
            self._save()

    def change_target(self, address: Address, change: Callable[[Target], Target]) -> None:
        """Replace a target by the result of `change`; do nothing if it is no longer registered."""
        with self._lock:
            before = self._targets.get(address)
            if before is not None and (after := change(before)) != before:
                self.put_targets([after])

    def forget(self, address: Address) -> None:
        """Remove a target whose draining is over; keep it if it was registered again since."""
        with self._lock:
            known = self._targets.get(address)
            if known is not None and known.draining:
                del self._targets[address]
                self._save()

    def rules_of(self, listener_arn: str) -> list[Resource]:
        """Return a listener's rules in the order of their evaluation, the default rule last."""
        stem = listener_arn.replace(":listener/", ":listener-rule/") + "/"
        rules = [rule for rule in self.all("listener-rule") if rule.arn.startswith(stem)]
        return sorted(
            rules, key=lambda rule: (rule.document["IsDefault"], int(rule.document["Priority"].replace("default", "0")))
        )

    def balancer_of(self, group_arn: str) -> str | None:
        """Return the ARN of the load balancer whose rules name a target group (with any weight), or None."""
        for rule in self.all("listener-rule"):
            if group_arn in forwarded_groups(rule.document["Actions"]):
                _, name, balancer = rule.arn.split("/")[1:4]
                return f"{rule.arn.partition(':listener-rule/')[0]}:loadbalancer/app/{name}/{balancer}"
        return None

    def retagged(self, resource: Resource, tags: dict[str, str]) -> None:
        """Store the resource with other tags."""
        self.put(replace(resource, tags=tags))

    def _save(self) -> None:
        document = {
            "resources": [asdict(one) for one in self._resources.values()],
            "targets": [asdict(one) for one in self._targets.values()],
        }
        files.replace_json(self._file, document)
        self.changed()
