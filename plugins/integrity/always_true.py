"""Detect checks that cannot fail as they are written: ``return … == 200`` instead of ``assert``, ``assert (…, "text")``,
``assert client.get("/")``, a comparison without ``assert``, a ``yield``, and a check whose name is given to another function.

pytest only warns about some of them, and ``-W ignore`` hides the warnings.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from plugins.integrity.collection_guard import CHECK_PREFIX, NO_CHECKS, decorators, is_group, lambdas, last_name
from plugins.integrity.forgotten import framework_fixtures
from plugins.integrity.never_fails.bodies import cannot_fail, is_swallowed, only_asks, quiet_managers, sends
from plugins.integrity.never_fails.expressions import EXISTENCE, why_always_true, why_unittest_passes
from plugins.integrity.never_fails.known import CLIENTS, Known, own_nodes
from plugins.integrity.never_fails.statements import (
    calls_without_effect,
    is_comparison,
    lost_comparisons,
    lost_failures,
)
from plugins.integrity.python_source import Function, PythonSource, defined_in, read
from plugins.stages import files_below

PYTHON = ".py"
IDLE_FIXTURES = frozenset({"base_url", "gate", "limits", "measure", "smoke_user", "smoke_users", "warn"})
"""The fixtures of the framework that ask the release nothing; a check that only receives them checks nothing."""
JUDGING_FIXTURES = frozenset({"baked", "latency_result", "load_beside_live", "load_result"})
"""The fixtures of the framework that fail if the release is bad."""
OTHER_OUTCOMES = frozenset({"skip", "skipif", "xfail"})
"""Marks after which a check does not pass, whatever its body does."""
RETRIES = frozenset({"backoff", "retry", "retrying", "stamina", "tenacity"})
"""Packages whose decorators call a function again after a failure."""
ERROR_ARGUMENTS = frozenset({"exception", "exceptions", "on", "retry"})
"""Arguments of these decorators that name the exceptions after which they call the function again."""
ERROR_CONDITIONS = frozenset({
    "giveup", "on_predicate", "retry_if_exception", "retry_if_exception_message", "retry_if_not_exception_type",
    "retry_if_not_result", "retry_if_result", "retry_on_exception", "retry_on_result", "retry_unless_exception_type",
})  # fmt: skip
"""Their arguments and functions that decide about an exception, or about a result, in a way that no reader can foresee."""
CATCH_FAILURES = frozenset({"AssertionError", "BaseException", "Exception"})
READS_GENERATORS = frozenset({
    "all", "any", "contextmanager", "coroutine", "deque", "dict", "join", "list", "next", "send", "set", "sum", "tuple",
})  # fmt: skip
"""Functions that run the body of a generator."""
OUTCOMES = frozenset({"exit", "fail", "skip", "xfail"})
"""Functions of pytest that raise an exception."""
SETUP = ("setup", "teardown")


def always_true(suites: Path) -> list[tuple[str, str]]:
    """Return the place of each such check or statement, and its mistake."""
    sources = [read(path) for path in files_below(suites) if path.suffix == PYTHON]
    around = read(suites.parent / "conftest.py")
    found: list[tuple[str, str]] = []
    for source in sources:
        if source.tree is None:
            continue
        file = source.path.relative_to(suites.parent).as_posix()
        conftests = [one for one in (around, *sources) if _is_conftest_of(one.path, source.path)]
        checks = _Checks(source, conftests)
        found += [(f"{file}:{line}", mistake) for line, mistake in checks.statements()]
        if source.path.name.startswith("test_"):
            found += [
                (f"{file}::{name}", "returns a value, which checks nothing; use assert")
                for name in _returning(source.tree.body, "")
            ]
            found += [
                (f"{file}::{name}", "has a yield, so its body never runs; remove the yield, or make it a fixture")
                for name in _generators(source.tree)
            ]
            found += [
                (f"{file}::{name}", "is replaced by another value further down in its file; rename one of them")
                for name in _replaced(source.tree.body, "")
            ]
            found += [
                (f"{file}::{name}", "is repeated by its decorator until it passes; wait in a helper, and assert once")
                for name in _retried(source, suites.parent)
            ]
            found += [(f"{file}::{name}", mistake) for name, mistake in checks.without_an_assertion()]
    return found


def _is_conftest_of(conftest: Path, path: Path) -> bool:
    return conftest.name == "conftest.py" and conftest != path and path.is_relative_to(conftest.parent)


@dataclass(frozen=True)
class _Checks:
    """A file and the conftests whose fixtures it gets."""

    source: PythonSource
    conftests: Sequence[PythonSource]

    @cached_property
    def _file(self) -> Known:
        tree = self.source.tree or ast.Module([], [])
        known = Known.of_file(tree)
        return replace(known, quiet=quiet_managers(tree, known))

    @property
    def _own(self) -> frozenset[str]:
        """The fixtures that these files define: they may replace one of the framework by another of the same name."""
        return frozenset[str]().union(*(one.fixtures for one in (self.source, *self.conftests)))

    @property
    def _clients(self) -> frozenset[str]:
        return frozenset(CLIENTS - self._own)

    @cached_property
    def _facts(self) -> dict[Function, Known]:
        """What is known in each function of the file."""
        functions = [one for one in ast.walk(self.source.tree or ast.Module([], [])) if isinstance(one, Function)]
        return {one: self._file.within(one, self._clients_of(one)) for one in functions}

    def _clients_of(self, function: Function) -> Iterable[str]:
        """Return the parameters that are clients; a function that pytest does not call may get other values."""
        if not (_is_check(function) or "fixture" in decorators(function)):
            return ()
        arguments = function.args
        names = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        return names & self._clients

    def statements(self) -> Iterator[tuple[int, str]]:
        """Yield the line and the mistake of each assertion that is always true, and of each comparison without ``assert``.

        An assertion that there is an answer is a mistake only if its function checks nothing else.
        """
        assert self.source.tree is not None
        for function, known in self._facts.items():
            yield from self._always_true(function, known)
        scopes = [one for one in ast.walk(self.source.tree) if isinstance(one, ast.Module | ast.ClassDef)]
        for node in (node for scope in scopes for node in own_nodes(scope)):
            if isinstance(node, ast.Assert) and not _is_true(node.test):
                mistake = why_always_true(node.test, self._file)
                if mistake is not None:
                    yield node.lineno, mistake
        for lost in lost_comparisons(self.source.tree.body):
            yield lost.lineno, "compares without a result; write assert before it"
        yield from calls_without_effect(self.source.tree)
        yield from lost_failures(self.source.tree)

    def _always_true(self, function: Function, known: Known) -> Iterator[tuple[int, str]]:
        for node in own_nodes(function):
            match node:
                case ast.Assert(test=test) if not _is_true(test):
                    mistake = why_always_true(test, known)
                case ast.Call():
                    mistake = why_unittest_passes(node, known)
                case _:
                    continue
            if mistake is not None and not (mistake in EXISTENCE and not only_asks(function, known)):
                yield node.lineno, mistake

    def without_an_assertion(self) -> Iterator[tuple[str, str]]:
        """Yield the checks that pass with any answer, because nothing in them can fail."""
        assert self.source.tree is not None
        if not any(_works_for_all(one) for one in (self.source, *self.conftests)):
            yield from self._empty(self.source.tree.body, "")

    def _empty(self, body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
        functions = [*defined_in(body), *_lambdas(body)]
        if any(one.name.startswith(SETUP) for one in functions):
            return
        for node in functions:
            if isinstance(node, ast.ClassDef):
                if is_group(node) and not node.bases and not node.decorator_list:
                    yield from self._empty(node.body, f"{prefix}{node.name}::")
            elif _is_check(node) and (mistake := self._mistake(node)):
                yield f"{prefix}{node.name}", mistake

    def _mistake(self, check: Function) -> str | None:
        known = self._facts[check] if check in self._facts else self._file.within(check, self._clients_of(check))
        swallowed = any(self._swallows(one, check) for one in check.decorator_list)
        marks = [one for one in check.decorator_list if not self._swallows(one, check)]
        given = [name for one in marks for name in _parametrized(one)]
        words = {last_name(one) for mark in marks for one in ast.walk(mark) if isinstance(one, ast.Attribute)}
        if not all(map(_mark, marks)) or words & OTHER_OUTCOMES or not (swallowed or cannot_fail(check.body, known)):
            return None
        fixtures = {one.arg for one in (*check.args.args, *check.args.kwonlyargs)} - {"self", *given}
        asks = sends(check, known)
        idle = (framework_fixtures() - JUDGING_FIXTURES if asks else CLIENTS | IDLE_FIXTURES) - self._own
        quiet = fixtures & self._quiet_fixtures
        if check.args.vararg or not fixtures - quiet <= idle:
            return None
        if quiet or any(isinstance(one, ast.Assert) and not _is_true(one.test) for one in ast.walk(check)):
            return "never fails by its assertions: they are caught, lost or never reached; let them fail the check"
        return "checks no answer, so it passes with any; use assert" if asks else "checks nothing; use assert"

    @cached_property
    def _quiet_fixtures(self) -> frozenset[str]:
        """The fixtures of the file that catch each failure of their assertions."""
        return frozenset(
            one.name for one in self.source.definitions
            if isinstance(one, Function) and decorators(one) == {"fixture"} and _is_named_by_itself(one)
            and any(isinstance(node, ast.Assert) for node in own_nodes(one))
            and {argument.arg for argument in one.args.args} <= self._clients and cannot_fail(one.body, self._facts[one])
        )  # fmt: skip

    def _swallows(self, decorator: ast.expr, check: Function) -> bool:
        """Return whether the decorator is a function of the file that catches the failures of the check."""
        name = last_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
        functions = [one for one in self.source.definitions if isinstance(one, Function) and one.name == name]
        receivers = _receivers(decorator, functions[0]) if len(functions) == 1 else []
        return len(receivers) == 1 and is_swallowed(check, receivers[0], self._facts[check])


def _lambdas(body: Sequence[ast.stmt]) -> Iterator[Function]:
    """Yield each ``test_x = lambda …`` as a function that drops the value: a check's value counts for nothing."""
    for function in lambdas(body):
        function.body = [ast.Expr(one.value) for one in function.body if isinstance(one, ast.Return) and one.value]
        yield ast.fix_missing_locations(function)


def _is_check(node: Function) -> bool:
    return node.name.startswith(CHECK_PREFIX) and not NO_CHECKS & decorators(node)


def _is_named_by_itself(fixture: Function) -> bool:
    keywords = [keyword.arg for one in fixture.decorator_list if isinstance(one, ast.Call) for keyword in one.keywords]
    return set(keywords) <= {"scope"}


def _is_true(node: ast.expr) -> bool:
    """Return whether an assertion is the plain ``assert True``, which some authors write after the calls that can fail."""
    return isinstance(node, ast.Constant) and node.value is True


def _works_for_all(source: PythonSource) -> bool:
    """Return whether fixtures or marks of a file may check something for checks that do not name them."""
    return bool({"usefixtures", "xfail"} & source.used) or source.has_autouse


def _mark(node: ast.expr) -> str:
    """Return the name of a mark of pytest; an empty text for any other decorator, which may replace the check."""
    function = node.func if isinstance(node, ast.Call) else node
    return last_name(function) if ".mark." in ast.unparse(function) else ""


def _parametrized(node: ast.expr) -> Iterator[str]:
    """Yield the arguments that a mark gives to a check, unless they go through a fixture."""
    if isinstance(node, ast.Call) and last_name(node.func) == "parametrize" and node.args:
        if any(one.arg == "indirect" for one in node.keywords):
            return
        texts = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
        yield from (name.strip() for text in texts for name in str(text).split(","))


def _returning(body: Sequence[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the names of the checks that return a value."""
    for node in defined_in(body):
        if isinstance(node, ast.ClassDef):
            if is_group(node):
                yield from _returning(node.body, f"{prefix}{node.name}::")
        elif _is_check(node):
            own = own_nodes(node)
            if any(isinstance(one, ast.Return) and not _is_none(one.value) for one in own):
                yield f"{prefix}{node.name}"
    for check in filter(_is_check, _lambdas(body)):
        if any(isinstance(one, ast.Expr) and is_comparison(one.value) for one in check.body):
            yield f"{prefix}{check.name}"


def _generators(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the checks that have a ``yield``, unless a decorator may run them as a generator.

    Such a decorator comes from another module, or has a loop or a function in it that reads a generator.
    """
    functions = {one.name: one for one in defined_in(tree.body) if isinstance(one, Function)}
    for prefix, check in _checks_of(tree.body, ""):
        if any(isinstance(one, ast.Yield | ast.YieldFrom) for one in own_nodes(check)) and all(
            _mark(one) or _passes_on(one, functions) for one in check.decorator_list
        ):
            yield f"{prefix}{check.name}"


def _passes_on(decorator: ast.expr, functions: Mapping[str, Function]) -> bool:
    """Return whether a decorator of the file only calls the check."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    function = functions.get(called.id) if isinstance(called, ast.Name) else None
    return function is not None and not any(
        isinstance(one, ast.For | ast.While | ast.comprehension | ast.YieldFrom)
        or (isinstance(one, ast.Call) and last_name(one.func) in READS_GENERATORS)
        for one in ast.walk(function)
    )


def _replaced(body: Sequence[ast.stmt], prefix: str) -> Iterator[str]:
    """Yield the checks whose names an assignment or an import gives to something else; a check that is wrapped stays one."""
    checks: set[str] = set()
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            checks.add(node.name)
        elif isinstance(node, ast.ClassDef) and is_group(node):
            yield from _replaced(node.body, f"{prefix}{node.name}::")
        for name in _bound(node):
            if name.startswith(CHECK_PREFIX) and name in checks:
                yield f"{prefix}{name}"


def _retried(source: PythonSource, project: Path) -> Iterator[str]:
    """Yield the checks of a file whose decorator calls them again until they pass."""
    tree = source.tree or ast.Module([], [])
    folders = [one for one in source.path.parents if one.is_relative_to(project)]
    packages = {name for name in RETRIES if not _is_local(name, folders)}
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] in packages and not getattr(node, "level", 0)
    }  # fmt: skip
    functions = {one.name: one for one in defined_in(tree.body) if isinstance(one, Function)}
    for prefix, check in _checks_of(tree.body, ""):
        for decorator in check.decorator_list:
            one = decorator
            while isinstance(one, ast.Attribute | ast.Call):
                one = one.func if isinstance(one, ast.Call) else one.value
            name = one.id if isinstance(one, ast.Name) else ""
            if name in imported:
                repeats = not _names_other_errors(decorator, _values(tree), imported)
            else:
                repeats = name in functions and any(map(_is_retry, _receivers(decorator, functions[name])))
            if repeats:
                yield f"{prefix}{check.name}"


def _receivers(decorator: ast.expr, function: Function) -> list[Function]:
    """Return the functions that receive the check: the decorator itself; after a call, those that it returns."""
    if not isinstance(decorator, ast.Call):
        return [function]
    returned = {
        one.id
        for node in own_nodes(function) if isinstance(node, ast.Return) and node.value is not None
        for one in ast.walk(node.value) if isinstance(one, ast.Name)
    }  # fmt: skip
    return [one for one in defined_in(function.body) if isinstance(one, Function) and one.name in returned]


def _is_local(module: str, folders: Sequence[Path]) -> bool:
    """Return whether one of the folders has a module of this name, which an import may mean instead of the package."""
    return any((one / f"{module}{PYTHON}").exists() or (one / module).is_dir() for one in folders)


def _values(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values of the names that the file assigns once."""
    stored = Counter(one.id for one in ast.walk(tree) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
    return {
        target.id: node.value
        for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and stored[target.id] == 1
    }  # fmt: skip


def _names_other_errors(decorator: ast.expr, values: Mapping[str, ast.expr], imported: Collection[str]) -> bool:
    """Return whether a decorator of a package is given other exceptions than an assertion raises: ``httpx.ConnectError``.

    A name that neither the package nor the file defines counts as such an exception. So does a condition on exceptions.
    """
    if not isinstance(decorator, ast.Call):
        return False
    keywords = decorator.keywords  # the name of ``**options`` is None
    unread = [*decorator.args, *(one.value for one in keywords if one.arg is None or one.arg in ERROR_ARGUMENTS)]
    words = {last_name(decorator.func), *(one.arg or "" for one in keywords)}
    seen: set[str] = set()
    unknown = False
    while unread:
        for one in ast.walk(unread.pop()):
            words.add(last_name(one) if isinstance(one, ast.expr) else "")
            if not isinstance(one, ast.Name) or one.id in seen or one.id in imported:
                continue
            seen.add(one.id)
            if one.id in values:
                unread.append(values[one.id])
            else:
                unknown |= not hasattr(builtins, one.id) or _is_error(one.id)
    return bool(words & ERROR_CONDITIONS) or (unknown and not words & CATCH_FAILURES)


def _is_error(builtin: str) -> bool:
    value = getattr(builtins, builtin)
    return isinstance(value, type) and issubclass(value, BaseException)


def _checks_of(body: Sequence[ast.stmt], prefix: str) -> Iterator[tuple[str, Function]]:
    for node in defined_in(body):
        if isinstance(node, ast.ClassDef):
            if is_group(node):
                yield from _checks_of(node.body, f"{prefix}{node.name}::")
        elif _is_check(node):
            yield prefix, node


def _is_retry(receiver: Function) -> bool:
    """Return whether a loop in it calls its first parameter, the check, catches the failure, and leaves when it passes."""
    first = next(iter((*receiver.args.posonlyargs, *receiver.args.args)), None)
    names = [one.arg for one in ast.walk(receiver) if isinstance(one, ast.arg)]
    if first is None or names.count(first.arg) != 1:  # a function within has a parameter of the same name
        return False
    loops = [one for one in ast.walk(receiver) if isinstance(one, ast.For | ast.While)]
    for node in (one for loop in loops for one in ast.walk(loop)):
        if not isinstance(node, ast.Try):
            continue
        tried = [one for part in (*node.body, *node.orelse) for one in ast.walk(part)]
        called = {one.func.id for one in tried if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}
        leaves = any(isinstance(one, ast.Return | ast.Break) for one in tried)
        if leaves and first.arg in called and _is_caught(node.handlers):
            return True
    return False


def _is_caught(handlers: Sequence[ast.ExceptHandler]) -> bool:
    """Return whether the first of these handlers that catches a failed assertion lets the loop go on."""
    for one in handlers:
        caught = {last_name(part) for part in ast.walk(one.type) if isinstance(part, ast.expr)} if one.type else None
        if caught is None or caught & CATCH_FAILURES:
            return _goes_on(one.body, one.name) is not False
    return False


def _goes_on(body: Sequence[ast.stmt], error: str | None) -> bool | None:
    """Return whether a block may start the next turn of its loop, False if it leaves, None if it only ends.

    ``error``: the name of the caught exception. A condition on it may sort out the failures of assertions, so it counts as
    leaving, and so does any other block that may leave, such as ``with``.
    """
    for node in body:
        match node:
            case ast.Continue():
                return True
            case ast.If(test=test, body=then, orelse=other):
                if any(isinstance(one, ast.Name) and one.id == error for one in ast.walk(test)):
                    return False
                ends = [_goes_on(then, error), _goes_on(other, error)]
                if True in ends:
                    return True
                if ends == [False, False]:
                    return False
            case _ if any(_leaves(one) for one in ast.walk(node)):
                return False
    return None


def _leaves(node: ast.AST) -> bool:
    return isinstance(node, ast.Raise | ast.Return | ast.Break) or (
        isinstance(node, ast.Call) and last_name(node.func) in OUTCOMES
    )


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds, except those that its value uses."""
    match node:
        case ast.Assign(targets=targets, value=value):
            used = {one.id for one in ast.walk(value) if isinstance(one, ast.Name)}
            yield from (one.id for one in targets if isinstance(one, ast.Name) and one.id not in used)
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            yield from (one.asname or one.name for one in names)


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)
