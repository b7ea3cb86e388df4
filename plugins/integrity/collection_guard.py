"""Detect checks that were left out.

Checks can be left out by an option, ``collect_ignore``, a conftest, a plugin or a condition in their file. The guard therefore
compares the result: every check in the files of ``suites/`` must have been collected, with every one of its parameters.
"""

from __future__ import annotations

import ast
import math
import re
import unittest
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import Any

import pytest
import yaml

from plugins.described.checks import checks_of
from plugins.stages import DESCRIPTION, files_of_checks, python_files
from verification.declarative.checks import load
from verification.declarative.service import InvalidService, load_service
from verification.declarative.source import DEEPEST, LARGEST, InvalidChecks

# pytest collects the functions, methods and classes whose names begin so, and each unittest.TestCase.
CHECK_PREFIX, GROUP_PREFIX = "test", "Test"
NO_CHECKS = frozenset({"fixture", "property", "cached_property"})
"""Decorators whose results pytest does not collect, under any name of the function."""
CHECKS_KEY = re.compile(r"""(?:^|[{,])[ \t]*["']?checks["']?[ \t]*:""", re.MULTILINE)
OPENED = re.compile(r"""^["']?checks["']?[ \t]*:""", re.MULTILINE)
ENTRY = re.compile(r"""(?:^|[{,\s-])["']?(?:request|steps|expect)["']?[ \t]*:(?=\s)""", re.MULTILINE)
LIST = ""
"""Stands for a list where a mapping has a key."""
REQUESTS = ("request", "steps", "expect")
"""Keys that an entry of another list does not have; ``name`` has one in an answer of /health, too."""


def declared(suites: Path) -> Iterator[str]:
    """Yield the checks in the gates' files: node ids without parameters, relative to the parent of ``suites``.

    Of a file of checks with a mistake, yield the file.
    """
    for path in python_files(suites):
        tree = parse(path)
        if tree is not None:
            file = path.relative_to(suites.parent).as_posix()
            yield from (f"{file}::{name}" for name in checks_in(tree.body).elements())
    for path in files_of_checks(suites):
        file = path.relative_to(suites.parent).as_posix()
        try:
            yield from (f"{file}::{check.name}" for check in load(path, file))
        except (InvalidChecks, OSError):
            # plugins.declarative reports it as a collection error, but not in a folder that pytest skips, such as dist.
            if holds_a_list_of_checks(path) or hides_a_list_of_checks(path):
                yield file
    yield from _described(suites)


def _described(suites: Path) -> Iterator[str]:
    file = f"{suites.name}/{DESCRIPTION}"
    try:
        service = load_service(suites / DESCRIPTION, file)
    except (InvalidService, OSError):
        return  # plugins.described.collector reports it as a collection error
    yield from (f"{file}::{one.gate}::{one.name}" for one in checks_of(service))


def parse(path: Path) -> ast.Module | None:
    """Return the syntax tree of a Python file; None if it is invalid, which pytest reports as a collection error."""
    try:
        return ast.parse(path.read_bytes())  # bytes: Python itself handles a byte order mark and other encodings
    except (SyntaxError, ValueError, OSError):
        return None


def checks_in(body: Sequence[ast.stmt], prefix: str = "") -> Counter[str]:
    """Return how often each check is defined when this code runs, also within ``if``, ``try``, ``with``, ``for`` and ``match``.

    Of branches that exclude each other, such as ``if`` and ``else``, only one counts.
    """
    found: Counter[str] = Counter()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith(CHECK_PREFIX) and not NO_CHECKS & decorators(node):
                found[prefix + node.name] += 1
        elif isinstance(node, ast.ClassDef):
            if is_group(node):
                found += checks_in(node.body, f"{prefix}{node.name}::")
        else:
            branches = [sum((checks_in(block, prefix) for block in way), Counter()) for way in ways(node)]
            for branch in branches[1:]:
                branches[0] |= branch
            found += branches[0] if branches else Counter()
    return found


def defines_nothing(tree: ast.Module) -> bool:
    """Return whether a file is empty, or has only comments, texts and imports."""
    return all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in tree.body
    )


def ways(node: ast.stmt) -> list[list[list[ast.stmt]]]:
    """Return the ways through a compound statement: for each, the blocks that run one after the other."""
    match node:
        case ast.If():
            return [[node.body], [node.orelse]]
        case ast.Try() | ast.TryStar():
            failed = [[handler.body, node.finalbody] for handler in node.handlers]
            return [[node.body, node.orelse, node.finalbody], *failed]
        case ast.For() | ast.AsyncFor() | ast.While():
            return [[node.body, node.orelse]]
        case ast.With() | ast.AsyncWith():
            return [[node.body]]
        case ast.Match():
            return [[case.body] for case in node.cases]
    return []


def lambdas(body: Sequence[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """Yield each ``name = lambda …`` of a block as a function, also those within ``if``, ``try`` and the like."""
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments, body=value)):
                function = ast.parse(f"def {name}(): pass").body[0]
                assert isinstance(function, ast.FunctionDef)
                function.args, function.body = arguments, [ast.Return(value)]
                yield ast.fix_missing_locations(ast.copy_location(function, node))
        yield from (found for way in ways(node) for block in way for found in lambdas(block))


def decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """Return the last name of each decorator: ``fixture`` for ``@pytest.fixture(scope="session")``."""
    called = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return {last_name(one) for one in called}


def last_name(node: ast.expr) -> str:
    """Return ``c`` for the expressions ``c`` and ``a.b.c``; an empty text for any other expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def is_group(node: ast.ClassDef) -> bool:
    """Return whether pytest collects this class, as far as the class alone shows it."""
    return node.name.startswith(GROUP_PREFIX) or any(last_name(base).endswith("TestCase") for base in node.bases)


def first_word(name: str) -> str:
    """Return ``tets`` for ``tets_login`` and for ``TetsLogin``, in small letters."""
    found = re.match(r"_*([A-Z]+(?=_|$)|[A-Z]?[a-z]+)", name)
    return found[1].lower() if found else ""


def returns(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a function returns or yields a value."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom) or (isinstance(node, ast.Return) and node.value is not None)
        for node in ast.walk(function)
    )


def near(word: str, name: str) -> bool:
    """Return whether a word is this name, or one letter or one exchange of two neighbours away from it."""
    if word == name:
        return True
    if len(word) == len(name):
        wrong = [n for n, (a, b) in enumerate(zip(word, name, strict=True)) if a != b]
        swapped = len(wrong) == 2 and wrong[1] == wrong[0] + 1 and word[wrong[0]] == name[wrong[1]]
        return len(wrong) == 1 or (swapped and word[wrong[1]] == name[wrong[0]])
    longer, shorter = sorted((word, name), key=len, reverse=True)
    return len(longer) == len(shorter) + 1 and any(
        longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer))
    )  # fmt: skip


def holds_a_list_of_checks(path: Path) -> bool:
    """Return whether a file is YAML or JSON whose key ``checks`` holds a list of checks; only its first megabyte counts."""
    text = beginning(path)
    return "\0" not in text and CHECKS_KEY.search(text) is not None and _lists_checks(text) is True


def hides_a_list_of_checks(path: Path) -> bool:
    """Return whether a file cannot be read as YAML, and has an entry of a check in a line after its key ``checks``."""
    text = beginning(path)
    opened = OPENED.search(text)
    if (
        opened is None or path.stat().st_size > LARGEST
    ):  # only its beginning was read, so that a mistake at its end means nothing
        return False
    return ENTRY.search(text, opened.end()) is not None and _lists_checks(text) is None


def beginning(path: Path) -> str:
    """Return the first megabyte of a file; an empty text if it cannot be read, or is a pipe, which would never end."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(LARGEST).decode("utf-8-sig", errors="replace")
    except OSError:
        pass
    return ""


def _lists_checks(text: str) -> bool | None:
    """Return whether an item of the list below the key ``checks`` of this text has a request, steps or an expectation.

    Return None if the text has a mistake in YAML before the first such item. The text is read until its first mistake, and to the
    depth of a file of checks: deeper, libyaml becomes slow.
    """
    path: list[str | None] = []  # the key of each mapping around the event; None before a key
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            match event:
                case yaml.ScalarEvent(value=value) if path and path[-1] is None:
                    path[-1] = value
                    if path[:-1] == ["checks", LIST] and value in REQUESTS:
                        return True
                    continue
                case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                    path.append(None if isinstance(event, yaml.MappingStartEvent) else LIST)
                    if len(path) > DEEPEST or path[0] == LIST:
                        break
                    continue
                case yaml.CollectionEndEvent():
                    path.pop()
                case yaml.NodeEvent():
                    pass
                case _:
                    continue
            if path and path[-1] != LIST:
                path[-1] = None  # a value is complete
    except yaml.YAMLError:
        return None
    return False


def is_data(cls: type) -> bool:
    """Return whether a class has a constructor, as rows of parameters have, and neither a check nor a class of checks."""
    inherited: Any = object
    constructor = any(getattr(cls, name) is not getattr(inherited, name) for name in ("__init__", "__new__"))
    return constructor and not any(
        name.startswith((CHECK_PREFIX, GROUP_PREFIX)) and callable(getattr(cls, name, None)) for name in dir(cls)
    )


def uncollected(names: Iterable[str], nodeids: Iterable[str]) -> list[str]:
    """Return which of these declared checks were not collected."""
    collected = {nodeid.partition("[")[0] for nodeid in nodeids}
    return [name for name in dict.fromkeys(names) if name not in collected]


def duplicates(names: Iterable[str]) -> list[str]:
    """Return the declared checks whose file has two functions of that name: Python keeps only the last one."""
    return [name for name, count in Counter(names).items() if count > 1]


def shortened(items: Sequence[pytest.Item]) -> list[str]:
    """Return each check that was collected with fewer parameters than its ``parametrize`` marks list, in one line each."""
    collected = Counter(item.nodeid.partition("[")[0] for item in items)
    found = {}
    for item in items:
        name = item.nodeid.partition("[")[0]
        if name not in found:
            found[name] = math.prod(_parameters(item))
    return [
        f"{name} was collected with {collected[name]} of its {least} parameters"
        for name, least in found.items()
        if collected[name] < least
    ]


def _parameters(item: pytest.Item) -> Iterator[int]:
    """Yield the length of each list of parameters, read where the files put it: plugins can change the item's own marks."""
    cls, module = getattr(item, "cls", None), getattr(item, "module", None)
    function = getattr(item, "function", None)
    if isinstance(cls, type) and issubclass(cls, unittest.TestCase):
        return  # unittest ignores these marks
    places: list[Any] = [function, *(vars(base) for base in getattr(cls, "__mro__", ())), module]
    for place in places:
        marks: Any = place.get("pytestmark", ()) if hasattr(place, "get") else getattr(place, "pytestmark", ())
        for given in marks if isinstance(marks, list | tuple) else [marks]:
            mark = getattr(given, "mark", given)  # ``pytestmark = pytest.mark.x`` holds a decorator
            if isinstance(mark, pytest.Mark) and mark.name == "parametrize":
                values = mark.args[1] if len(mark.args) > 1 else mark.kwargs.get("argvalues")
                if isinstance(values, Sized):  # an iterator cannot be counted again
                    yield len(values)
