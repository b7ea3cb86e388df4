"""What a Python file below ``suites/`` defines, and which names it uses, read without running it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from plugins.integrity.collection_guard import decorators, last_name, parse, ways

Function = ast.FunctionDef | ast.AsyncFunctionDef
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class PythonSource:
    """One file; ``tree`` is None if it is not valid Python."""

    path: Path
    tree: ast.Module | None

    @cached_property
    def used(self) -> frozenset[str]:
        """The names that the file reads, calls, passes on, or mentions in a text without spaces."""
        return frozenset(_used(self.tree)) if self.tree is not None else frozenset()

    @cached_property
    def imported(self) -> frozenset[str]:
        """The words of its imports, of its attributes, and of its texts: they may name another file or a part of it."""
        return frozenset(_imported(self.tree)) if self.tree is not None else frozenset()

    @cached_property
    def definitions(self) -> tuple[Function | ast.ClassDef, ...]:
        """Functions and classes of the module, also those within ``if``, ``try`` and the like."""
        return tuple(defined_in(self.tree.body)) if self.tree is not None else ()

    @cached_property
    def fixtures(self) -> frozenset[str]:
        """The names of the fixtures that the file defines."""
        tree = self.tree or ast.Module([], [])
        return frozenset(
            name for node in ast.walk(tree) if isinstance(node, Function) and "fixture" in decorators(node)
            for name in (node.name, *_fixture_names(node))
        )  # fmt: skip

    @cached_property
    def has_autouse(self) -> bool:
        """Whether the file defines a fixture that every check gets."""
        tree = self.tree or ast.Module([], [])
        return any(isinstance(node, ast.keyword) and node.arg == "autouse" for node in ast.walk(tree))


def read(path: Path) -> PythonSource:
    """Return the file."""
    return PythonSource(path, parse(path))


def defined_in(body: Sequence[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield the functions and classes of a block, also those within ``if``, ``try`` and the like."""
    for node in body:
        if isinstance(node, Function | ast.ClassDef):
            yield node
        for way in ways(node):
            for block in way:
                yield from defined_in(block)


def parameters(function: Function) -> set[str]:
    """Return the names of the parameters that have no default, without ``self``."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    needed = positional[: len(positional) - len(arguments.defaults)]
    keywords = [
        one for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]
    return {one.arg for one in (*needed, *keywords)} - {"self"}


def asserts(function: Function) -> bool:
    """Return whether the function itself asserts or fails, by a statement or by a call such as ``assertEqual``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call) and re.match(r"assert|raises$|fail$|refused$", last_name(node.func)):
            return True
    return False


def _used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _WORD.findall(getattr(node, "module", None) or "")
            for alias in node.names:
                yield from _WORD.findall(alias.name)
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            yield from _WORD.findall(node.value)


def _fixture_names(function: Function) -> Iterator[str]:
    for one in function.decorator_list:
        if isinstance(one, ast.Call):
            for keyword in one.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)
