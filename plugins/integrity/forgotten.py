"""Detect files, functions and classes of ``suites/`` that look like checks and are never collected, such as ``def tets_login``.

Helpers are not forgotten checks: functions that another file imports, functions that their own file calls or passes on,
fixtures and hooks. Only code counts: a word of a text, as in ``"/login"``, uses nothing.
"""

from __future__ import annotations

import ast
import json
import re
import unittest
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from plugins.integrity.collection_guard import (
    CHECK_PREFIX,
    GROUP_PREFIX,
    beginning,
    checks_in,
    defines_nothing,
    first_word,
    holds_a_list_of_checks,
    is_group,
    lambdas,
    last_name,
    near,
    returns,
)
from plugins.integrity.python_source import (
    LOADED,
    PYTHON,
    Function,
    Project,
    PythonSource,
    asserts,
    attributes_in,
    defined_in,
    is_file_of_checks,
    names_in,
    parameters,
    read,
    texts_in,
)
from plugins.stages import CONTRACT_FOLDER, files_below, files_of_checks
from verification.declarative.checks import SUFFIXES

FIXTURES_FILES = [
    Path(__file__).resolve().parents[1] / name for name in ("fixtures.py", "streams.py", "described/fixtures.py")
]
# fmt: off
PYTEST_FIXTURES = frozenset([
    "cache", "capfd", "capfdbinary", "caplog", "capsys", "capsysbinary", "capteesys", "doctest_namespace",
    "monkeypatch", "pytestconfig", "pytester", "record_property", "record_testsuite_property",
    "record_xml_attribute", "recwarn", "request", "subtests", "testdir", "tmp_path", "tmp_path_factory",
    "tmpdir", "tmpdir_factory",
])
# fmt: on
# Words that are one letter from "test", and words for the same thing: such a function must also look like a check.
CHECK_WORDS = frozenset({"check", "checks", "verify", "should", "spec", "assert", "ensure"})
WORDS = CHECK_WORDS | {"best", "fest", "jest", "lest", "nest", "pest", "rest", "tent", "text", "vest", "west", "zest"}
KNOWN_BASES = frozenset({"object", "ABC", "Generic", "Protocol", "TestCase", "IsolatedAsyncioTestCase"})
"""Base classes of Python itself: none of them calls a method that it does not have."""
SETUP = re.compile(r"setup|teardown|setUp|tearDown|pytest_|__")
MARK = re.compile(r"(\w+\.)?mark\.")
WRAPPER = re.compile(
    r"(functools|typing|mock|unittest\.mock)\.|(cache|lru_cache|wraps|staticmethod|classmethod|patch|no_type_check)\b"
)
OTHER_THINGS = re.compile(r"fixture|hookimpl|hookspec|property|contextmanager|\.(setter|getter|deleter)$")
DEFINITION = re.compile(r"\b(def|class)[ \t]+\w")
DOCUMENTS = (".md", ".rst", ".html", ".txt")
"""Files in which an example of a check may stand; ``x.yaml.txt`` is a file of checks with another ending."""
NEAR_FILES = ("test", "tests", "check", "checks", "spec")


@dataclass(frozen=True)
class Forgotten:
    """Something that is never collected, and the name that was probably meant; empty for a file without any check."""

    what: str
    meant: str

    def __str__(self) -> str:
        if not self.meant:
            return f"{self.what} has no check; it is empty, or has only comments and imports"
        return f"{self.what} is never collected; {self.meant} was probably meant"


def forgotten(suites: Path, nodeids: Collection[str], whole: bool = True) -> list[Forgotten]:
    """Return the forgotten checks. In a run that is not whole, only those of the files with collected checks.

    pytest also collects a file of any other name if the command line names it, but no whole run does.
    """
    files = {nodeid.partition("::")[0] for nodeid in nodeids}
    sources = [read(path) for path in files_below(suites) if path.suffix == PYTHON and _counts(path, suites)]
    project = Project(suites.parent, sources, [read(path) for path in sorted(suites.parent.glob(f"*{PYTHON}"))])
    found: list[Forgotten] = []
    for source in sources:
        file = source.path.relative_to(suites.parent).as_posix()
        if not is_file_of_checks(source.path):
            if (whole or file in files) and _holds_forgotten(source, project):
                found.append(Forgotten(file, _meant_file(source.path)))
        elif whole and file not in files and _has_nothing(source, project):
            found.append(Forgotten(file, ""))
        elif whole or file in files:
            found += _in_file(source, file, project, nodeids if whole else None)
    if whole:
        found += [*_other_files(suites, project), *_beside_the_contract(suites, project)]
    return found


@cache
def framework_fixtures() -> frozenset[str]:
    """Return the names of the fixtures of pytest and of the framework."""
    return PYTEST_FIXTURES.union(*(read(one).fixtures for one in FIXTURES_FILES))


def _fixtures(project: Project) -> frozenset[str]:
    return framework_fixtures() | project.fixtures


def _counts(path: Path, suites: Path) -> bool:
    """Return whether this file can belong to a gate."""
    parts = path.relative_to(suites).parts
    return "__pycache__" not in parts and parts[0] != CONTRACT_FOLDER and (path.is_file() or path.is_symlink())


# -- files -------------------------------------------------------------------------------------------------------------


def _holds_forgotten(source: PythonSource, project: Project) -> bool:
    """Return whether a Python file that pytest does not collect holds checks that no other file collects or uses."""
    path = source.path
    if not path.is_file():
        return path.name.startswith(CHECK_PREFIX)  # a link whose target is missing
    if source.tree is None:
        return _near_file(path.stem)
    runs = source in project.running
    for node in _definitions(source.tree.body):
        used = project.uses(source, node.name) or (_used_beside(node, source) and (runs or not _is_plain(node)))
        if _is_check(node, source, "test_" if runs else CHECK_PREFIX) and not used:
            return True  # except a helper such as ``testit``, which its own file calls
    return not runs and _asserts_for_nobody(source, source.tree.body, project)


def _is_plain(node: Function | ast.ClassDef) -> bool:
    """Return whether the name alone says that pytest should have collected it."""
    return isinstance(node, ast.ClassDef) or node.name.startswith("test_")


def _is_check(node: Function | ast.ClassDef, source: PythonSource, prefix: str) -> bool:
    if isinstance(node, ast.ClassDef):
        return _has_checks(node)
    return node.name.startswith(prefix) and not _makes_something_else(node, source)


def _asserts_for_nobody(source: PythonSource, body: Sequence[ast.stmt], project: Project, method: bool = False) -> bool:
    """Return whether a file that no other file imports has a function that asserts and that nothing calls."""
    for node in _definitions(body):
        if isinstance(node, ast.ClassDef):
            found = _asserts_for_nobody(source, node.body, project, method=True)
        else:
            helper = node.name.startswith("_") or SETUP.match(node.name) or node.decorator_list
            fits = not helper and parameters(node) <= _fixtures(project) and not _used_beside(node, source, method)
            found = _is_forgotten(node, source, project, method) or (
                fits and (_judges(node, source, project) or _asks_the_product(node, source, project))
            )
        if found:
            return True
    return False


def _asks_the_product(node: Function, source: PythonSource, project: Project) -> bool:
    """Return whether a function takes a fixture of the product and returns nothing, in a file named as one of checks.

    ``rest_client.py`` and ``text.py`` are one letter away from "test", but are names of helpers.
    """
    own = (framework_fixtures() | project.fixtures) - PYTEST_FIXTURES
    words = set(re.split(r"[^a-z]+", source.path.stem.lower()))
    named = _near_file(source.path.stem) and not words & (WORDS - CHECK_WORDS)
    return named and bool(parameters(node) & own) and not returns(node)


def _has_nothing(source: PythonSource, project: Project) -> bool:
    """Return whether a file of checks, which no other file imports, defines nothing."""
    return source.tree is not None and defines_nothing(source.tree) and not any(project.importers(source))


def _near_file(stem: str) -> bool:
    words = [word for word in re.split(r"[^a-zA-Z]+", stem) if word]
    return bool(words) and any(near(word.lower(), name) for word in (words[0], words[-1]) for name in NEAR_FILES)


def _meant_file(path: Path) -> str:
    # The prefix without its underscore: ``testlogin``.
    stem = re.sub(r"^[Tt]est(?=[a-z]{2}|[a-rt-z]$|[A-Z0-9])", "", path.stem)
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", stem) if word]
    kept = [
        word for number, word in enumerate(words)
        if number not in (0, len(words) - 1) or not any(near(word.lower(), name) for name in NEAR_FILES)
    ]  # fmt: skip
    name = "_".join(kept) if kept and path.name not in LOADED else path.parent.name
    return f"test_{name}{PYTHON}"


def _other_files(suites: Path, project: Project) -> Iterator[Forgotten]:
    """Yield the files whose ending keeps them from being read as Python or YAML."""
    for path in files_below(suites):
        if not _counts(path, suites) or path.name.startswith(".") or path.suffix in (PYTHON, ".pyc"):
            continue
        meant = _meant_ending(path, project)
        # A file beside the one that was meant is a copy, as editors leave them.
        if meant is None or meant == path.name or (path.parent / meant).exists() or path.with_suffix(PYTHON).exists():
            continue
        if not (_is_read(path, suites, project) or (_is_data(path, meant) and _is_listed(path, suites, project))):
            yield Forgotten(path.relative_to(suites.parent).as_posix(), meant)


def _is_read(path: Path, suites: Path, project: Project) -> bool:
    """Return whether a check reads this file: by its name, its ending or a pattern in Python, or as ``file`` in YAML."""
    named = frozenset[str]().union(*(one.named_files for one in (*project.sources, *project.running)))
    if path.suffix in named or any(fnmatch(path.name, one) for one in named):
        return True
    key = re.compile(rf"""\bfile["']?[ ]*:[ ]*["']?([^\s"']*/)?{re.escape(path.name)}""")
    return any(key.search(beginning(one)) for one in files_of_checks(suites))


def _is_data(path: Path, meant: str) -> bool:
    """Return whether a file with this name may be data: its ending is no misspelt ``.py`` or ``.yaml``."""
    return not meant.endswith(PYTHON) and not any(ending.lower() in SUFFIXES for ending in path.suffixes)


def _is_listed(path: Path, suites: Path, project: Project) -> bool:
    """Return whether code that runs lists a folder of this file: one that it names, or one in which it lies."""
    folders = {path.parent.name, *path.relative_to(suites).parts[1:-1]}
    above = set(path.parents) - {suites, *suites.parents}
    return any(
        one.lists_folders and (one.path.parent in above or folders & one.named_folders) for one in project.running
    )


def _beside_the_contract(suites: Path, project: Project) -> Iterator[Forgotten]:
    """Yield the files of checks that stand in the contract's folder, which no gate reads; pytest collects ``test_x.py``."""
    for path in files_below(suites / CONTRACT_FOLDER):
        listed = path.suffix in SUFFIXES and holds_a_list_of_checks(path)
        if listed or (path.suffix == PYTHON and not is_file_of_checks(path) and _holds_forgotten(read(path), project)):
            name = path.name if listed else _meant_file(path)
            yield Forgotten(path.relative_to(suites.parent).as_posix(), f"{suites.name}/GATE/{name}")


def _meant_ending(path: Path, project: Project) -> str | None:
    endings = [ending.lower() for ending in path.suffixes]
    stem = re.split(r"[.,]", path.name)[0]
    document = bool(endings) and endings[-1] in DOCUMENTS
    near_name = _near_file(stem)
    if near_name and any(ending.rstrip("~ ") in (PYTHON, ".pyw", ".py3") for ending in endings):
        return _meant_file(path.with_name(stem + PYTHON))
    unknown = near_name or not endings or near(endings[-1].strip(". ~"), "py")
    if unknown and not document and path.suffix not in SUFFIXES and _holds_python_checks(path, project):
        return _meant_file(path.with_name(stem + PYTHON))
    if path.suffix in SUFFIXES:
        return None
    if path.suffix.lower() in SUFFIXES:
        return path.stem + path.suffix.lower()
    kept = [ending for ending in endings if ending in SUFFIXES]
    document |= not endings and path.name.isupper()  # such as README
    if (kept or not document) and holds_a_list_of_checks(path):
        return f"{stem}{kept[0] if kept else SUFFIXES[0]}"
    return None


def _holds_python_checks(path: Path, project: Project) -> bool:
    """Return whether a file with an unknown ending, or a notebook, is Python with a check in it."""
    text = beginning(path)
    if not DEFINITION.search(text):
        return False  # large data is slow to parse
    try:
        if path.suffix == ".ipynb":
            cells = [one["source"] for one in json.loads(text)["cells"] if one["cell_type"] == "code"]
            lines = "\n".join("".join(one) for one in cells).splitlines()
            text = "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))
        return _holds_forgotten(PythonSource(path, ast.parse(text)), project)
    except (SyntaxError, ValueError, LookupError, TypeError, RecursionError, MemoryError):
        return False


# -- functions and classes ---------------------------------------------------------------------------------------------


def _in_file(source: PythonSource, file: str, project: Project, nodeids: Collection[str] | None) -> Iterator[Forgotten]:
    """Yield the forgotten checks of a collected file; without ``nodeids``, it is not known which classes were collected."""
    for node in _definitions(source.tree.body if source.tree is not None else ()):
        if isinstance(node, ast.ClassDef):
            yield from _in_class(node, source, f"{file}::{node.name}", project, nodeids)
        else:
            if _is_forgotten(node, source, project):
                yield Forgotten(f"{file}::{node.name}", _meant_function(node.name))
            yield from _nested(node, source, file)


def _in_class(
    node: ast.ClassDef, source: PythonSource, place: str, project: Project, nodeids: Collection[str] | None
) -> Iterator[Forgotten]:
    """Yield a class whose name is no check's, or the forgotten checks in it; ``place`` is its node id."""
    if not is_group(node):
        derived = any(not isinstance(base, ast.Name) or base.id != "object" for base in node.bases)
        collected = derived if nodeids is None else any(nodeid.startswith(f"{place}::") for nodeid in nodeids)
        used = _used_beside(node, source, method=place.count("::") > 1) or project.uses(source, node.name)
        if not collected and not used and (_has_checks(node) or _in_methods(node, source, project)):
            yield Forgotten(place, f"class {_meant_class(node.name)}")
        return
    for one in _in_methods(node, source, project):
        yield Forgotten(f"{place}::{one.name}", _meant_function(one.name))
    for method in _definitions(node.body):
        if isinstance(method, ast.ClassDef):
            yield from _in_class(method, source, f"{place}::{method.name}", project, nodeids)
        else:
            yield from _nested(method, source, place.partition("::")[0])


def _in_methods(node: ast.ClassDef, source: PythonSource, project: Project) -> list[Function]:
    """Return the methods of a class that were meant as checks."""
    own = [one for one in _definitions(node.body) if isinstance(one, Function)]
    found = [one for one in own if _is_forgotten(one, source, project, method=True)]
    return [one for one in found if near(first_word(one.name), CHECK_PREFIX) or _is_new(one, node, source, project)]


def _is_new(
    method: Function, node: ast.ClassDef, source: PythonSource, project: Project, below: tuple[ast.ClassDef, ...] = ()
) -> bool:
    """Return whether no base of a class has this method. A base of a library may: then only a check's own name counts."""
    below = (*below, node)
    for base in node.bases:
        name = last_name(base.value if isinstance(base, ast.Subscript) else base)
        if name in KNOWN_BASES:
            if name.endswith("TestCase") and hasattr(unittest.IsolatedAsyncioTestCase, method.name):
                return False
            continue
        classes = 0
        for file, one in _named(name, source, project):
            if isinstance(one, ast.ClassDef) and one not in below:
                classes += 1
                own = {each.name for each in _definitions(one.body)}
                if method.name in own or not _is_new(method, one, file, project, below):
                    return False
        if not classes and (first_word(method.name) not in CHECK_WORDS or not parameters(method)):
            return False
    return True


def _has_checks(node: ast.ClassDef) -> bool:
    """Return whether a class has checks, itself or in a class within it."""
    within = [one for one in defined_in(node.body) if isinstance(one, ast.ClassDef)]
    return bool(checks_in(node.body)) or any(_has_checks(one) for one in within)


def _nested(function: Function, source: PythonSource, file: str) -> Iterator[Forgotten]:
    """Yield the checks within a function that it neither calls nor returns: their indentation is wrong."""
    for node in ast.walk(function):
        if not isinstance(node, Function) or node is function or node.decorator_list:
            continue
        if node.name.startswith("test_") and not _used_beside(node, source, method=True):
            yield Forgotten(f"{file}::{function.name}.{node.name}", f"{node.name}, outside of {function.name},")


def _definitions(body: Sequence[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    """Yield the functions and classes of a block, and each ``name = lambda …`` as a function."""
    yield from defined_in(body)
    yield from lambdas(body)


def _used_beside(node: Function | ast.ClassDef, source: PythonSource, method: bool = False) -> bool:
    """Return whether the file uses a function or a class outside of it. Only a method, or a nested class, is an attribute."""
    within = list(ast.walk(node))
    if source.loaded[node.name] > names_in(within)[node.name]:
        return True
    return method and source.attributes[node.name] > attributes_in(within)[node.name]


def _is_forgotten(node: Function, source: PythonSource, project: Project, method: bool = False) -> bool:
    """Return whether this function was meant as a check, and no other file and no text reaches it."""
    return _looks_forgotten(node, source, project, method) and not _is_reached(node, source, project, method)


def _is_reached(node: Function, source: PythonSource, project: Project, method: bool) -> bool:
    """Return whether a file that works with this one uses a function: as ``suite.check_x``, or by its name in a text.

    A name that is nearly ``test`` must be written out: ``getattr(self, name)`` alone does not excuse it.
    """
    name, company = node.name, project.company(source)
    given = framework_fixtures() - {"request"}
    if any(attribute == name and base not in given for one in company for base, attribute in one.foreign_attributes):
        return True
    lookups = [one.lookups for one in (source, *company)]
    computed = any(one.is_computed(given) for one in lookups)
    if any(one.names(name, computed) for one in lookups):
        return True
    texts = source.texts[name] - texts_in(ast.walk(node))[name]
    if computed and (texts > 0 or any(one.texts[name] for one in company if one.lookups.is_computed(given))):
        return True
    word = first_word(name)
    plain = word in WORDS or not near(word, CHECK_PREFIX)
    classes = frozenset(one.name for one in source.definitions if isinstance(one, ast.ClassDef))
    return plain and (source.lookups.takes_all(method, classes) or any(one.lookups.lists(given) for one in company))


def _looks_forgotten(node: Function, source: PythonSource, project: Project, method: bool) -> bool:
    """Return whether this function was meant as a check: by its name, its marks, or its arguments and body."""
    if node.name.startswith(CHECK_PREFIX) or SETUP.match(node.name) or _makes_something_else(node, source):
        return False
    if _used_beside(node, source, method) or project.uses(source, node.name):
        return False
    if method and any(node.name in other.attributes for other, _ in project.importers(source)):
        return False
    kinds = [_written_out(one, source) for one in node.decorator_list]
    if any(MARK.match(kind) for kind in kinds):
        return True  # a mark has an effect on checks alone
    word = first_word(node.name)
    if near(word, CHECK_PREFIX) and word not in WORDS and not node.name.startswith("_"):
        return True
    if any(not WRAPPER.match(kind) for kind in kinds):
        return False  # a decorator of another library may register the function, as ``@app.route("/")`` does
    needs = parameters(node)
    looks_like_one = needs <= _fixtures(project) and _judges(node, source, project)
    if word in WORDS or node.name.startswith("_"):
        return looks_like_one and (word in WORDS or near(word, CHECK_PREFIX))
    return looks_like_one and bool(needs)


def _judges(node: Function, source: PythonSource, project: Project) -> bool:
    """Return whether a function asserts, itself or in a function of the project. A helper that returns a value does neither.

    ``raise_for_status()`` in a function without parameters is part of a script.
    """
    return asserts(node) or (bool(parameters(node)) and not returns(node) and _calls_a_judge(node, source, project))


def _calls_a_judge(function: Function, source: PythonSource, project: Project) -> bool:
    """Return whether a function calls ``raise_for_status``, or a function of the project that asserts, itself or by a call."""
    left, seen = [(source, function)], set[tuple[Path, int]]()
    while left:
        file, one = left.pop()
        if (file.path, one.lineno) in seen:
            continue
        seen.add((file.path, one.lineno))
        given = {argument.arg for argument in ast.walk(one.args) if isinstance(argument, ast.arg)} - {"self", "cls"}
        for call in (node for node in ast.walk(one) if isinstance(node, ast.Call)):
            name = last_name(call.func)
            if name == "raise_for_status":
                return True
            if isinstance(call.func, ast.Attribute) and last_name(call.func.value) in given:
                continue  # a method of a fixture
            called = [(place, new) for place, new in _named(name, file, project) if isinstance(new, Function)]
            if any(asserts(new) for _, new in called):
                return True
            left += called
    return False


def _named(name: str, source: PythonSource, project: Project) -> Iterator[tuple[PythonSource, Function | ast.ClassDef]]:
    """Yield the functions, methods and classes that a file may mean by this name: its own, and those of its imports and conftests."""
    names = {name} | {old for one in source.imports for old, new in one.names or () if new == name}
    for file in (*project.reachable(source), *project.company(source)):
        yield from ((file, node) for one in names for node in file.by_name.get(one, ()))


def _makes_something_else(node: Function, source: PythonSource) -> bool:
    """Return whether a decorator makes a fixture, a hook, a property or a context manager of this function."""
    kinds = [_written_out(one, source) for one in node.decorator_list]
    return any(OTHER_THINGS.search(kind) and not MARK.match(kind) for kind in kinds)


def _written_out(decorator: ast.expr, source: PythonSource) -> str:
    """Return the text of a decorator; that of its value if the file assigns it to a name, as in ``P = pytest.mark.…``."""
    if isinstance(decorator, ast.Name) and source.tree is not None:
        for node in source.tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=decorator.id)], value=value):
                    return ast.unparse(value)
    return ast.unparse(decorator)


def _meant_function(name: str) -> str:
    plain = name.lstrip("_")
    word = first_word(name)
    rest = plain[len(word) :].lstrip("_") if near(word, CHECK_PREFIX) or word in WORDS else plain
    return f"test_{rest}" if rest else "test_it"


def _meant_class(name: str) -> str:
    plain = re.sub(r"^(tests?|tets|tset)_?|(tests?|checks?)$", "", name.lstrip("_"), flags=re.IGNORECASE)
    return f"{GROUP_PREFIX}{plain[:1].upper()}{plain[1:]}" if plain else f"{GROUP_PREFIX}Checks"
