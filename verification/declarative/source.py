"""YAML with line numbers, read as JSON's types alone: no dates, no yes and no, no key twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Step = str | int


class InvalidChecks(ValueError):
    """A file of checks that cannot be used: file, line, what was wrong, what to write instead; a line for each mistake."""


class _Loader(yaml.SafeLoader):
    """Knows null, true, false and numbers; ``2030-01-15`` and ``yes`` are texts, as they are in JSON."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag.rpartition(":")[2] in ("null", "int", "float", "merge")]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), ["t", "f"])


@dataclass(frozen=True)
class Source:
    """A document and where each of its parts stands."""

    file: str
    value: Any
    root: yaml.Node

    def line(self, path: Sequence[Step]) -> int:
        """The line of a part, by its keys and indices: of a value's key, where it has one; else of what is nearest around it."""
        node, line = self.root, self.root.start_mark.line
        for step in path:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == step]
                if not found:
                    break
                key, node = found[0]
                line = key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
                node = node.value[step]
                line = node.start_mark.line
        return line + 1

    def error(self, path: Sequence[Step], what: str) -> str:
        """One line of an InvalidChecks."""
        return f"{self.file}:{self.line(path)}: {what}"


def read(path: Path, shown: str) -> Source:
    """A file's document. Raises InvalidChecks, naming it as ``shown``, where it is not YAML or has a key twice; OSError."""
    loader = _Loader(path.read_bytes())
    try:
        root = loader.get_single_node()
        if root is None:
            raise InvalidChecks(f"{shown}:1: the file is empty; it wants a list of checks: 'checks:'")
        twice = _twice(root)
        if twice is not None:
            line = twice.start_mark.line + 1
            raise InvalidChecks(f"{shown}:{line}: key {twice.value!r} stands there twice; the first would be lost")
        return Source(shown, loader.construct_document(root), root)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InvalidChecks(f"{shown}:{line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, InvalidChecks):
            raise
        raise InvalidChecks(f"{shown}:1: this is not YAML in UTF-8: {error}") from None
    finally:
        loader.dispose()


def _twice(node: yaml.Node) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode):
        return next(filter(None, map(_twice, node.value)), None)
    if not isinstance(node, yaml.MappingNode):
        return None
    seen: set[str] = set()
    for key, value in node.value:
        if key.value in seen:
            return key if isinstance(key, yaml.Node) else None
        seen.add(key.value)
        if (inner := _twice(value)) is not None:
            return inner
    return None
