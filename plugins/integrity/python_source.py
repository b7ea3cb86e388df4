"""What a Python file below ``suites/`` defines, which names it uses, and which files use each other, read without running."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePath

from plugins.integrity.collection_guard import CHECK_PREFIX, GROUP_PREFIX, decorators, last_name, parse, ways

Function = ast.FunctionDef | ast.AsyncFunctionDef
STAR = "*"
_IMPORTERS = frozenset({"__import__", "import_module", "importorskip"})
_BY_NAME = frozenset({"getattr", "methodcaller", "attrgetter", "__getattribute__"})
_LISTS = frozenset({"dir", "getmembers", "globals", "vars"})
_LOOKUPS = _BY_NAME | _LISTS | {"locals"}
_FOLDER_LISTS = frozenset({"iterdir", "listdir", "glob", "iglob", "rglob", "walk", "scandir"})
_SELF = frozenset({"self", "cls", "instance", "__class__"})
_MODULE = frozenset({"module", "modules", "globals"})
_SHORTEST = 3
"""The least length of the literal part of a computed name: ``f"{a}_{b}"`` could be any name."""
PYTHON = ".py"
FRAMEWORK = ("deployment", "infrastructure", "plugins", "scripts", "verification")
"""The framework's packages, which import no file of a project by its name."""
LOADED = ("conftest.py", "__init__.py", "__main__.py")
"""Files that Python or pytest loads without an import of their name."""


@dataclass(frozen=True)
class Import:
    """An import. ``module``: its name with dots; ``names``: pairs of a name and its new name, None if it binds the module."""

    module: str
    names: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class Lookups:
    """How a file looks names up. ``literal``: the names that it writes out, as in ``getattr(self, "check_x")``.

    ``parts``: the beginning and the end of each name that it computes, as in ``f"check_{what}"``, wherever it does so.
    ``objects``: the last name of each object whose attribute it looks up by a computed name, empty for another expression.
    ``listed``: the same of each object whose names it lists, as in ``dir(self)``.
    """

    literal: frozenset[str] = frozenset()
    parts: frozenset[tuple[str, str]] = frozenset()
    objects: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()

    def is_computed(self, other_things: frozenset[str]) -> bool:
        """Return whether the file looks up a computed name of anything but ``other_things``, such as fixtures."""
        return bool((self.objects | self.listed) - other_things)

    def names(self, name: str, computed: bool) -> bool:
        """Return whether the file writes this name out, or may compute it; ``computed``: whether a lookup takes such names."""
        parts = self.parts if computed else ()
        return name in self.literal or any(name.startswith(begin) and name.endswith(end) for begin, end in parts)

    def takes_all(self, method: bool, classes: frozenset[str]) -> bool:
        """Return whether the file may look up any method of its ``classes``, or any of its functions."""
        return bool((self.objects | self.listed) & (_SELF | classes if method else _MODULE))

    def lists(self, other_things: frozenset[str]) -> bool:
        """Return whether the file lists the names of an object that another file may have passed."""
        return bool(self.listed - other_things - {"globals"})


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
        return names_in(nodes) + (texts_in(nodes) if looks_up else Counter())

    @cached_property
    def attributes(self) -> Counter[str]:
        """How often the file reads an attribute of each name."""
        return attributes_in(ast.walk(self.tree)) if self.tree is not None else Counter()

    @cached_property
    def foreign_attributes(self) -> frozenset[tuple[str, str]]:
        """Attributes that the file reads, each after the last name of its object, except those of the modules that it imports."""
        nodes = list(ast.walk(self.tree)) if self.tree is not None else []
        bound = {
            alias.asname or alias.name
            for node in nodes
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        return frozenset(
            (last_name(node.value), node.attr) for node in nodes
            if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in bound)
        )  # fmt: skip

    @cached_property
    def texts(self) -> Counter[str]:
        """How often each text stands in the file."""
        return texts_in(ast.walk(self.tree)) if self.tree is not None else Counter()

    @cached_property
    def lookups(self) -> Lookups:
        """How the file looks names up."""
        return _lookups(self.tree) if self.tree is not None else Lookups()

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
    def named_folders(self) -> frozenset[str]:
        """All parts of the paths that its texts may name."""
        return frozenset(part for one in self.texts if len(one) < 200 for part in PurePath(one).parts)

    @cached_property
    def lists_folders(self) -> bool:
        """Whether the file reads the names of the files of a folder."""
        nodes = ast.walk(self.tree or ast.Module([], []))
        return any(isinstance(node, ast.Call) and last_name(node.func) in _FOLDER_LISTS for node in nodes)

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
    def by_name(self) -> dict[str, list[Function | ast.ClassDef]]:
        """All functions, methods and classes of the file."""
        found: dict[str, list[Function | ast.ClassDef]] = {}
        for node in ast.walk(self.tree or ast.Module([], [])):
            if isinstance(node, Function | ast.ClassDef):
                found.setdefault(node.name, []).append(node)
        return found

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


@dataclass(frozen=True)
class Project:
    """The Python files of the gates, and those in the project's folder itself, such as its conftest."""

    root: Path
    sources: Sequence[PythonSource]
    beside: Sequence[PythonSource]

    @cached_property
    def fixtures(self) -> frozenset[str]:
        """The names of the project's own fixtures."""
        return frozenset[str]().union(*(one.fixtures for one in (*self.beside, *self.sources)))

    @cached_property
    def running(self) -> list[PythonSource]:
        """The files whose code runs: checks, conftests, the files of the project's folder, and the files that these import."""
        begin = [one for one in self.sources if is_file_of_checks(one.path) or one.path.name in LOADED]
        found, left = [], [*self.beside, *begin]
        rest = [one for one in self.sources if one not in begin]
        while left:
            source = left.pop()
            found.append(source)
            more = [one for one in rest if source.may_run(one.path)]
            rest = [one for one in rest if one not in more]
            left += [*more, *self._packages(source, {one.path for one in (*self.sources, *found, *left)})]
        return found

    def _packages(self, source: PythonSource, known: Collection[Path]) -> list[PythonSource]:
        """Return the files of other packages of the project that this file imports."""
        names = {one.module for one in source.imports} - {""}
        places = [self.root.joinpath(*name.split(".")) for name in names if name.split(".")[0] not in FRAMEWORK]
        paths = {path for one in places for path in (one.with_suffix(PYTHON), one / "__init__.py")}
        return [read(path) for path in sorted(paths - set(known)) if path.is_file()]

    def reachable(self, source: PythonSource) -> list[PythonSource]:
        """Return this file, and the files of the project that it imports, directly or through other files."""
        if source.path not in self._reachable:
            found, left = [source], [source]
            while left:
                one = left.pop()
                more = [other for other in self.sources if one.imports_of(other.path) and other not in found]
                more += self._packages(one, {other.path for other in (*self.sources, *found)})
                found, left = [*found, *more], [*left, *more]
            self._reachable[source.path] = found
        return self._reachable[source.path]

    @cached_property
    def _reachable(self) -> dict[Path, list[PythonSource]]:
        return {}

    def importers(self, source: PythonSource) -> Iterator[tuple[PythonSource, Import]]:
        """Yield the other running files that import this one."""
        for other in self.running:
            if other is not source:
                yield from ((other, one) for one in other.imports_of(source.path))

    def company(self, source: PythonSource) -> list[PythonSource]:
        """Return the other files that work with this one: the conftests above it, and all files that they and it import."""
        if source.path not in self._companies:
            above = [
                one for one in self.running if one.path.name == LOADED[0] and one.path.parent in source.path.parents
            ]
            found, left = [source], [source, *(one for one in above if one is not source)]
            while left:
                one = left.pop()
                found.append(one)
                left += [new for new in self.running if new not in (*found, *left) and one.imports_of(new.path)]
            self._companies[source.path] = [one for one in found if one is not source]
        return self._companies[source.path]

    @cached_property
    def _companies(self) -> dict[Path, list[PythonSource]]:
        return {}

    def uses(self, source: PythonSource, name: str, seen: frozenset[tuple[Path, str]] = frozenset()) -> bool:
        """Return whether another file collects or uses this function or class of ``source``."""
        seen |= {(source.path, name)}
        for other, one in self.importers(source):
            if one.names is None:
                computed = other.lookups.is_computed(frozenset())
                texts = computed and (other.texts[name] or source.texts[name])
                whole = one.module.rpartition(".")[2] in other.lookups.objects | other.lookups.listed
                if name in other.attributes or texts or whole or other.lookups.names(name, computed):
                    return True
                continue
            for new in [new if old == name else name for old, new in one.names if old in (STAR, name)]:
                collected = is_file_of_checks(other.path) and new.startswith((CHECK_PREFIX, GROUP_PREFIX))
                if collected or new in other.loaded:
                    return True
                if (other.path, new) not in seen and self.uses(other, new, seen):
                    return True
        return False


def is_file_of_checks(path: Path) -> bool:
    """Return whether pytest collects this Python file."""
    return path.name.startswith("test_") and path.suffix == PYTHON and path.is_file()


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
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if last_name(raised) == "AssertionError":
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


def texts_in(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Return how often each text stands in these nodes."""
    return Counter(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def _lookups(tree: ast.Module) -> Lookups:
    literal, objects, listed = set[str](), set[str](), set[str]()
    nodes = list(ast.walk(tree))
    # ``globals()["x"]`` and ``"x" in globals()`` look up one name.
    single = {
        id(value) for node in nodes for value, key in _keys(node) if isinstance(key, ast.Constant)
    }  # fmt: skip
    for node in nodes:
        literal |= {key.value for _, key in _keys(node) if isinstance(key, ast.Constant) and isinstance(key.value, str)}
        match node:
            case ast.Call(func=func, args=args) if last_name(func) in _BY_NAME:
                value, names = _named_by(func, args)
                texts = [one.value for one in names if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                literal |= {word for text in texts for word in text.split(".")}
                computed = [one for one in names if not isinstance(one, ast.Constant)]
                # A name with a literal part means the functions with that part, not all functions of the object.
                objects |= {"" if any(_parts([one])) else _object(value) for one in computed}
            case ast.Call(func=func, args=args) if last_name(func) in ("dir", "getmembers") and args:
                listed.add(_object(args[0]))
            case ast.Call(func=func, args=args) if last_name(func) in _LISTS and id(node) not in single:
                (listed if _has_functions(args) else objects).add(_object(args[0]) if args else "globals")
            case ast.Attribute(attr="__dict__", value=value) if id(node) not in single:
                (listed if _has_functions([value]) else objects).add(_object(value))
    return Lookups(frozenset(literal), frozenset(_parts(nodes)), frozenset(objects), frozenset(listed))


def _has_functions(args: Sequence[ast.expr]) -> bool:
    """Return whether ``vars`` of these arguments surely has functions: a module or a class has some, an instance has none."""
    if not args:
        return True
    name = args[0].id if isinstance(args[0], ast.Name) else ""
    return name[:1].isupper() if name and name != "cls" else _object(args[0]) in _SELF | _MODULE


def _keys(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield the objects that name attributes, such as ``globals()``, with the key that this expression looks up in them."""
    match node:
        case ast.Subscript(value=value, slice=key):
            pass
        case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[value]):
            pass
        case ast.Call(func=ast.Attribute(attr="get", value=value), args=[key, *_]):
            pass
        case _:
            return
    called = isinstance(value, ast.Call) and last_name(value.func) in _LISTS
    if called or last_name(value) == "__dict__":
        yield value, key


def _named_by(func: ast.expr, args: Sequence[ast.expr]) -> tuple[ast.expr | None, Sequence[ast.expr]]:
    """Return the object of a call such as ``getattr``, if it is known, and the names that it looks up."""
    match last_name(func), func:
        case "getattr", _:
            return (args[0] if args else None), args[1:2]
        case "attrgetter", _:
            return None, args
        case "__getattribute__", ast.Attribute(value=value):
            return (value if len(args) == 1 else args[0] if args else None), args[-1:]
    return None, args[:1]


def _object(node: ast.expr | None) -> str:
    """Return the last name of an object: ``self`` for ``self`` and ``type(self)``, ``modules`` for ``sys.modules[…]``."""
    match node:
        case ast.Call(func=ast.Name(id="type" | "super"), args=[value]):
            return _object(value)
        case ast.Call(func=func):
            return "module" if last_name(func) in _IMPORTERS else ""
        case ast.Subscript(value=value):
            return _object(value)
        case None:
            return ""
    return last_name(node)


def _parts(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield the literal beginning and end of each text that the code computes or compares."""
    for node in nodes:
        begin: ast.AST | None = None
        end: ast.AST | None = None
        match node:
            case ast.JoinedStr(values=[first, *_] as values):
                begin, end = first, values[-1]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                begin, end = left, right
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod()):
                begin, end = ast.Constant(text.partition("%")[0]), ast.Constant(re.sub(r".*%\w?", "", text))
            case ast.Call(func=ast.Attribute(attr="format", value=ast.Constant(value=str(text)))):
                begin, end = ast.Constant(text.partition("{")[0]), ast.Constant(text.rpartition("}")[2])
            case ast.Call(func=ast.Attribute(attr="startswith" | "removeprefix" | "match"), args=[first, *_]):
                begin = first
            case ast.Call(func=ast.Attribute(attr="endswith" | "removesuffix"), args=[first, *_]):
                end = first
        found = _text(begin), _text(end)
        if max(map(len, found)) >= _SHORTEST and all(not one or f"a{one}".isidentifier() for one in found):
            yield found


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


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
                yield from (Import(name) for name in texts_in(ast.walk(value)))


def _is_text(arguments: Sequence[ast.expr]) -> bool:
    return bool(arguments) and isinstance(arguments[0], ast.Constant)


@cache
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
