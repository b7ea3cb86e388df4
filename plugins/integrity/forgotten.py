"""Detect files, functions and classes of ``suites/`` that look like checks and are never collected, such as ``def tets_login``.

Helpers are not forgotten checks: what another file imports, what its own file calls or passes on, fixtures, hooks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from plugins.integrity.collection_guard import CHECK_PREFIX, GROUP_PREFIX, checks_in, is_group
from plugins.integrity.python_source import Function, PythonSource, asserts, defined_in, parameters, read
from plugins.stages import CONTRACT_FOLDER, files_below
from verification.declarative.checks import SUFFIXES

FIXTURES_FILES = [
    Path(__file__).resolve().parents[1] / name for name in ("fixtures.py", "streams.py", "described/fixtures.py")
]
PYTEST_FIXTURES = frozenset(
    [
        "cache",
        "capfd",
        "capfdbinary",
        "caplog",
        "capsys",
        "capsysbinary",
        "capteesys",
        "doctest_namespace",
        "monkeypatch",
        "pytestconfig",
        "pytester",
        "record_property",
        "record_testsuite_property",
        "record_xml_attribute",
        "recwarn",
        "request",
        "subtests",
        "testdir",
        "tmp_path",
        "tmp_path_factory",
        "tmpdir",
        "tmpdir_factory",
    ]
)
# Words that are one letter from "test", and words for the same thing: such a function must also look like a check.
WORDS = frozenset(
    [
        "best",
        "fest",
        "jest",
        "lest",
        "nest",
        "pest",
        "rest",
        "tent",
        "text",
        "vest",
        "west",
        "zest",
        "check",
        "checks",
        "verify",
        "should",
        "spec",
        "assert",
        "ensure",
    ]
)
SETUP = re.compile(r"setup|teardown|setUp|tearDown|pytest_|__")
PYTHON = ".py"
DOCUMENTS = (".md", ".rst", ".html")
NEAR_FILES = ("test", "tests", "check", "checks", "spec")


@dataclass(frozen=True)
class Forgotten:
    """Something that is never collected, and the name that was probably meant."""

    what: str
    meant: str

    def __str__(self) -> str:
        return f"{self.what} is never collected; {self.meant} was probably meant"


def forgotten(suites: Path, nodeids: Collection[str], whole: bool = True) -> list[Forgotten]:
    """Return the forgotten checks. In a run that is not whole, only those of the files with collected checks.

    pytest also collects a file of any other name if the command line names it, but no whole run does.
    """
    files = {nodeid.partition("::")[0] for nodeid in nodeids}
    sources = [read(path) for path in files_below(suites) if path.suffix == PYTHON and _counts(path, suites)]
    fixtures = framework_fixtures().union(*(one.fixtures for one in sources))
    found: list[Forgotten] = []
    for source in sources:
        file = source.path.relative_to(suites.parent).as_posix()
        others = frozenset[str]().union(*(one.imported for one in sources if one is not source))
        if not _is_file_of_checks(source.path):
            if (whole or file in files) and _holds_forgotten(source, others, fixtures):
                found.append(Forgotten(file, _meant_file(source.path)))
        elif whole or file in files:
            found += _in_file(source, file, others, fixtures, nodeids if whole else None)
    if whole:
        found += _other_files(suites)
        found += _beside_the_contract(suites)
    return found


@cache
def framework_fixtures() -> frozenset[str]:
    """Return the names of the fixtures of pytest and of the framework."""
    return PYTEST_FIXTURES.union(*(read(one).fixtures for one in FIXTURES_FILES))


def _counts(path: Path, suites: Path) -> bool:
    """Return whether this file can belong to a gate."""
    parts = path.relative_to(suites).parts
    return "__pycache__" not in parts and parts[0] != CONTRACT_FOLDER and (path.is_file() or path.is_symlink())


# -- files -------------------------------------------------------------------------------------------------------------


def _is_file_of_checks(path: Path) -> bool:
    return path.name.startswith("test_") and path.suffix == PYTHON and path.is_file()


def _holds_forgotten(source: PythonSource, others: Collection[str], fixtures: Collection[str]) -> bool:
    """Return whether a Python file that pytest does not collect holds checks, and no other file imports it."""
    path = source.path
    if not path.is_file():
        return path.name.startswith(CHECK_PREFIX)  # a link whose target is missing
    if path.stem == "conftest":
        return any(name not in source.used for name in checks_in(source.definitions))
    if path.stem in others or path.stem.startswith("__"):
        return False
    if source.tree is None:
        return _near_file(path.stem)
    if any(name.startswith("test_") or "::" in name or name not in source.used for name in checks_in(source.tree.body)):
        return True  # except a helper such as ``testit``, which its own file calls
    return _near_file(path.stem) and any(
        isinstance(node, Function) and _is_forgotten(node, source, (), fixtures) for node in source.definitions
    )


def _near_file(stem: str) -> bool:
    words = [word for word in re.split(r"[^a-zA-Z]+", stem) if word]
    return bool(words) and any(_near(word.lower(), name) for word in (words[0], words[-1]) for name in NEAR_FILES)


def _meant_file(path: Path) -> str:
    # The prefix without its underscore: ``testlogin``.
    stem = re.sub(r"^[Tt]est(?=[a-z]{2}|[a-rt-z]$|[A-Z0-9])", "", path.stem)
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", stem) if word]
    kept = [
        word for number, word in enumerate(words)
        if number not in (0, len(words) - 1) or not any(_near(word.lower(), name) for name in NEAR_FILES)
    ]  # fmt: skip
    name = "_".join(kept) if kept and path.stem != "conftest" else path.parent.name
    return f"test_{name}{PYTHON}"


def _other_files(suites: Path) -> Iterator[Forgotten]:
    """Yield the files whose ending keeps them from being read as Python or YAML."""
    for path in files_below(suites):
        if not _counts(path, suites) or path.name.startswith(".") or path.suffix in (PYTHON, ".pyc"):
            continue
        meant = _meant_ending(path)
        # A file beside the one that was meant is a copy, as editors leave them.
        if meant is not None and meant != path.name and not (path.parent / meant).exists():
            yield Forgotten(path.relative_to(suites.parent).as_posix(), meant)


def _beside_the_contract(suites: Path) -> Iterator[Forgotten]:
    """Yield the files of checks in YAML that stand in the contract's folder, which no gate reads."""
    for path in files_below(suites / CONTRACT_FOLDER):
        if path.suffix in SUFFIXES and _starts_with_checks(path):
            yield Forgotten(path.relative_to(suites.parent).as_posix(), f"{suites.name}/GATE/{path.name}")


def _meant_ending(path: Path) -> str | None:
    endings = [ending.lower() for ending in path.suffixes]
    stem = path.name.partition(".")[0]
    if _near_file(stem) and any(ending.rstrip("~") in (PYTHON, ".pyw", ".py3") for ending in endings):
        return _meant_file(Path(stem + PYTHON).absolute())
    if path.suffix in SUFFIXES:
        return None
    if path.suffix.lower() in SUFFIXES:
        return path.stem + path.suffix.lower()
    if endings and endings[-1] not in DOCUMENTS and _starts_with_checks(path):
        return f"{stem}.yaml"
    return None


def _starts_with_checks(path: Path) -> bool:
    """Return whether the first line that is not a comment begins a list of checks in YAML."""
    try:
        with path.open(encoding="utf-8") as file:
            lines = (line.strip() for line in file.read(4096).splitlines())
    except (OSError, UnicodeDecodeError):
        return False
    return next((line for line in lines if line and not line.startswith(("#", "---", "%"))), "") == "checks:"


# -- functions and classes ---------------------------------------------------------------------------------------------


def _in_file(
    source: PythonSource, file: str, others: Collection[str], fixtures: Collection[str], nodeids: Collection[str] | None
) -> Iterator[Forgotten]:
    """Yield the forgotten checks of a collected file; without ``nodeids``, it is not known which classes were collected."""
    for node in source.definitions:
        if isinstance(node, ast.ClassDef):
            yield from _in_class(source, file, others, fixtures, (node, nodeids))
        else:
            if _is_forgotten(node, source, others, fixtures):
                yield Forgotten(f"{file}::{node.name}", _meant_function(node.name))
            yield from _nested(node, source, file)


def _in_class(
    source: PythonSource,
    file: str,
    others: Collection[str],
    fixtures: Collection[str],
    of: tuple[ast.ClassDef, Collection[str] | None],
) -> Iterator[Forgotten]:
    node, nodeids = of
    methods = [one for one in defined_in(node.body) if isinstance(one, Function)]
    if not is_group(node):
        derived = any(not isinstance(base, ast.Name) or base.id != "object" for base in node.bases)
        place = f"{file}::{node.name}::"
        collected = derived if nodeids is None else any(nodeid.startswith(place) for nodeid in nodeids)
        used = node.name in source.used or node.name in others or bool(node.decorator_list)
        if checks_in(node.body) and not collected and not used:
            yield Forgotten(f"{file}::{node.name}", f"class {_meant_class(node.name)}")
        return
    for method in methods:
        # A class with bases may override one of their methods.
        named = not node.bases or _near(_first_word(method.name), CHECK_PREFIX)
        if named and _is_forgotten(method, source, others, fixtures):
            yield Forgotten(f"{file}::{node.name}::{method.name}", _meant_function(method.name))
        yield from _nested(method, source, file)


def _nested(function: Function, source: PythonSource, file: str) -> Iterator[Forgotten]:
    """Yield the checks within a function that it neither calls nor returns: their indentation is wrong."""
    for node in ast.walk(function):
        if not isinstance(node, Function) or node is function or node.decorator_list:
            continue
        if node.name.startswith("test_") and node.name not in source.used:
            yield Forgotten(f"{file}::{function.name}.{node.name}", f"{node.name}, outside of {function.name},")


def _is_forgotten(node: Function, source: PythonSource, others: Collection[str], fixtures: Collection[str]) -> bool:
    """Return whether this function was meant as a check: by its name, its marks, or its arguments and body."""
    used = node.name in source.used or node.name in others
    if node.name.startswith(CHECK_PREFIX) or used or SETUP.match(node.name):
        return False
    if node.decorator_list:
        return all(".mark." in f"{ast.unparse(one)}." for one in node.decorator_list)
    word = _first_word(node.name)
    needs = parameters(node)
    looks_like_one = needs <= set(fixtures) and asserts(node)
    if word in WORDS or node.name.startswith("_"):
        return looks_like_one and (word in WORDS or _near(word, CHECK_PREFIX))
    return _near(word, CHECK_PREFIX) or (looks_like_one and bool(needs))


def _first_word(name: str) -> str:
    """Return ``tets`` for ``tets_login`` and for ``TetsLogin``, in small letters."""
    found = re.match(r"_*([A-Z]+(?=_|$)|[A-Z]?[a-z]+)", name)
    return found[1].lower() if found else ""


def _near(word: str, name: str) -> bool:
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


def _meant_function(name: str) -> str:
    plain = name.lstrip("_")
    word = _first_word(name)
    rest = plain[len(word) :].lstrip("_") if _near(word, CHECK_PREFIX) or word in WORDS else plain
    return f"test_{rest}" if rest else "test_it"


def _meant_class(name: str) -> str:
    plain = re.sub(r"^(tests?|tets|tset)_?|(tests?|checks?)$", "", name.lstrip("_"), flags=re.IGNORECASE)
    return f"{GROUP_PREFIX}{plain[:1].upper()}{plain[1:]}" if plain else f"{GROUP_PREFIX}Checks"
