"""The providers' schemas, derived from their published bindings; the README beside the files lists the gaps."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "schema"

Block = Mapping[str, Any]
"""``{"a": {name: [flags, type]}, "b": {name: [nesting, min, max, block]}}``; flags: r(equired), o(ptional), c(omputed)."""


@dataclass(frozen=True)
class Provider:
    """One provider's schema; ``address`` is its name as the core knows it."""

    name: str
    version: str
    configuration: Block
    resources: Mapping[str, Block]
    data: Mapping[str, Block]

    @property
    def address(self) -> str:
        return f"registry.terraform.io/hashicorp/{self.name}"

    def only(self, types: Set[str]) -> Provider:
        """Return the same provider with only these types: the core reads every type, and 1700 types take long."""
        return Provider(
            self.name,
            self.version,
            self.configuration,
            {name: _shallow(block) for name, block in self.resources.items() if name in types},
            {name: block for name, block in self.data.items() if name in types},
        )


def _shallow(block: Block, within: tuple[str, ...] = ()) -> Block:
    """Return the block with one level of nested statements: a web ACL has seven, and they take half of the core's time."""
    kept = {name: inner for name, inner in block["b"].items() if name not in within}
    return {
        "a": block["a"],
        "b": {name: [*rest, _shallow(inner, (*within, name))] for name, (*rest, inner) in kept.items()},
    }


def load() -> list[Provider]:
    """Return all providers that have a schema."""
    return [_read(path) for path in sorted(FOLDER.glob("*.json.gz"))]


def _read(path: Path) -> Provider:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = json.load(file)
    empty: Block = {"a": {}, "b": {}}
    return Provider(
        found["name"], found["provider_version"], found["provider"] or empty, found["resources"], found["data"]
    )
