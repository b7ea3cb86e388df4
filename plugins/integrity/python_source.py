"""What a Python file below ``suites/`` defines, and which names it uses, read without running it."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

from plugins.integrity.collection_guard import decorators, last_name, parse, ways

Function = ast.FunctionDef | ast.AsyncFunctionDef
STAR = "*"
_IMPORTERS = frozenset({"__import__", "import_module", "importorskip"})
_LOOKUPS = frozenset({"getattr", "globals", "locals", "vars"})


@dataclass(frozen=True)
class Import:
    """An import. ``module``: its name with dots; ``names``: pairs of a name and its new name, None if it binds the module."""

    module: str
    names: tuple[tuple[str, str], ...] | None = None


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
    def loaded(self) -> Counter[str]:
        """How often the file reads each name. A text is a name only if the file looks names up, as with ``globals()``."""
        nodes = list(ast.walk(self.tree)) if self.tree is not None else []
        looks_up = any(isinstance(node, ast.Call) and last_name(node.func) in _LOOKUPS for node in nodes)
        return names_in(nodes) + (_texts_in(nodes) if looks_up else Counter())

    @cached_property
    def attributes(self) -> Counter[str]:
        """How often the file reads an attribute of each name."""
        return attributes_in(ast.walk(self.tree)) if self.tree is not None else Counter()

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """All imports, also those by ``pytest_plugins`` and ``importlib.import_module``."""
        return tuple(_imports(self.tree, self.path)) if self.tree is not None else ()

    @cached_property
    def named_files(self) -> frozenset[str]:
        """The names of the files that its texts name, without their folders."""
        texts = (node.value for node in ast.walk(self.tree or ast.Module([], [])) if isinstance(node, ast.Constant))
        return frozenset(PurePath(one).name for one in texts if isinstance(one, str) and len(one) < 200 and "." in one)

    @cached_property
    def imports_by_value(self) -> bool:
        """Whether the file imports modules whose names stand in no text, as ``pkgutil.iter_modules`` finds them."""
        calls = (node for node in ast.walk(self.tree or ast.Module([], [])) if isinstance(node, ast.Call))
        named = _IMPORTERS | {"exec_module", "run_module", "run_path"}
        return any(last_name(one.func) in named and not _is_text(one.args) for one in calls)

    def imports_of(self, other: Path) -> list[Import]:
        """Return the imports of this file that mean another file."""
        module = _module(other)
        return [one for one in self.imports if module.endswith(f".{one.module}")]

    def may_run(self, other: Path) -> bool:
        """Return whether this file imports another one, names it, or may import it by a value."""
        module = _module(other)
        named = other.name in self.named_files or any(module.endswith(f".{one}") for one in self.named_files)
        return named or bool(self.imports_of(other)) or (self.imports_by_value and self.path.parent in other.parents)

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


def names_in(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Return how often these nodes read each name."""
    return Counter(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def attributes_in(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Return how often these nodes read an attribute of each name."""
    return Counter(node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load))


def _texts_in(nodes: Iterable[ast.AST]) -> Counter[str]:
    return Counter(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _imports(tree: ast.Module, path: Path) -> Iterator[Import]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(one.name) for one in names if one.name not in sys.stdlib_module_names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = _absolute(module or "", level, path)
                if base not in sys.stdlib_module_names:
                    yield Import(base, tuple((one.name, one.asname or one.name) for one in names))
                    yield from (Import(f"{base}.{one.name}") for one in names if one.name != STAR)
            case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if last_name(func) in _IMPORTERS:
                module = name.lstrip(".")
                yield Import(_absolute(module, len(name) - len(module), path))
            case ast.Assign(targets=[ast.Name(id="pytest_plugins")], value=value):
                yield from (Import(name) for name in _texts_in(ast.walk(value)))


def _is_text(arguments: Sequence[ast.expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], ast.Constant)


def _module(path: Path) -> str:
    """Return the name of a file's module with the names of all folders above it, after a dot."""
    parts = path.with_suffix("").parts
    return "." + ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _absolute(module: str, level: int, path: Path) -> str:
    """Return the name of a module; ``level``: the number of dots before it in an import within the file ``path``."""
    if not level:
        return module
    return ".".join([*path.parents[min(level, len(path.parents)) - 1].parts, *([module] if module else [])])


def _fixture_names(function: Function) -> Iterator[str]:
    for one in function.decorator_list:
        if isinstance(one, ast.Call):
            for keyword in one.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value)
