"""What the syntax tree shows about the names of a file and of a function."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from plugins.integrity.collection_guard import last_name

CLIENTS = frozenset({"client", "fresh_client", "live_client", "fresh_live_client", "front_client"})
"""The fixtures that are an HTTP client. Its answers are always true, unlike those of the library requests."""
METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send"})
UNCALLED = frozenset({"json", "raise_for_status", "read"})
"""The methods of an answer; without their parentheses they are always true."""
RESPONSES = frozenset({"answer", "resp", "response"})
"""Names that only an answer has if it has a ``status_code``."""
EXECUTORS = frozenset({"ThreadPoolExecutor", "ProcessPoolExecutor"})
BUILTINS = frozenset(
    {"AssertionError", "all", "any", "bool", "int", "isinstance", "len", "list", "print", "set", "sorted", "str"}
)
LAZY = frozenset({"enumerate", "filter", "iter", "map", "reversed", "zip"})
"""Builtins that return an iterator, which is always true and does nothing until it is read."""
LOG_METHODS = frozenset({
    "critical", "debug", "error", "exception", "info", "log", "print_exc", "print_exception", "warn", "warning",
})  # fmt: skip
LOGGERS = frozenset({"getLogger", "get_logger"})
WAITS = frozenset({"as_completed", "wait"})
"""Functions of ``concurrent.futures`` that raise no exception of a call."""
STATES = frozenset({"cancelled", "done", "running"})
"""Methods of a future that raise nothing."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a function, without functions and classes that it defines."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, SCOPES):
            yield node
            yield from own_nodes(node)


def names_bound(node: ast.AST) -> Iterator[str]:
    """Yield the names that this part of a tree binds, without its own parts."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
            yield name
        case ast.alias(name=name, asname=other):
            yield other or name
        case ast.Global(names=names) | ast.Nonlocal(names=names):
            yield from names
        case (
            ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name) | ast.MatchStar(name=str() as name)
        ):
            yield name


@dataclass(frozen=True)
class Known:
    """What is known about names: ``clients`` send requests, ``answers`` hold answers and nothing else."""

    clients: frozenset[str] = frozenset()
    answers: frozenset[str] = frozenset()
    responses: frozenset[str] = RESPONSES
    """Names that hold answers if they have a status code: also answers of a client that nothing shows to be one."""
    functions: frozenset[str] = frozenset()
    """Functions of the file."""
    lazy: frozenset[str] = LAZY
    pools: frozenset[str] = frozenset()
    """Executors of ``concurrent.futures``: they keep the exception of a call whose result the check does not read."""
    futures: frozenset[str] = frozenset()
    """Futures of such executors, and lists of them."""
    waits: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    """Lists that the function makes; to append to one never fails."""
    loggers: frozenset[str] = frozenset()
    values: Mapping[str, ast.expr] = field(default_factory=dict)
    """The values of constants."""
    quiet: Mapping[str, ast.expr] = field(default_factory=dict)
    """Context managers of the file that catch exceptions and go on, and these exceptions."""

    @classmethod
    def of_file(cls, tree: ast.Module) -> Known:
        """Return what is known about names that the whole file binds once."""
        bound = Counter(name for node in ast.walk(tree) for name in names_bound(node))
        once = {name for name, count in bound.items() if count == 1}
        functions = {one.name for one in tree.body if isinstance(one, Function) and not one.decorator_list}
        loggers = Counter(name for node in ast.walk(tree) for name in _loggers(node))
        waits = Counter(name for node in ast.walk(tree) for name in _waits(node))
        return cls(
            functions=frozenset(functions & once),
            lazy=LAZY - bound.keys(),
            waits=frozenset(name for name in waits if waits[name] == bound[name]),
            loggers=frozenset(name for name in loggers if loggers[name] == bound[name]),
            values={} if "*" in bound else _constants(tree, tree.body, once),
        )

    def within(self, function: Function, clients: Iterable[str]) -> Known:
        """Return what is known in a function of the file, in which ``clients`` are fixtures or modules."""
        bound: dict[str, list[ast.expr | None]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.setdefault(node.id, []).append(None)
        known = replace(self, clients=frozenset(clients) - bound.keys())
        for node in own_nodes(function):
            for name, value in _assigned(node):
                bound[name].remove(None)
                bound[name].append(value)
        known = replace(
            known,
            answers=_names_of(known.is_answer, bound),
            responses=RESPONSES | _names_of(_is_request, bound),
            pools=_names_of(_is_executor, bound),
            lists=_names_of(_is_new_list, bound) - _shared(function),
            values={**self.values, **_constants(function, own_nodes(function), _bound_once(function))},
        )
        return known._with_futures(function, bound)

    def _with_futures(self, function: Function, bound: Mapping[str, list[ast.expr | None]]) -> Known:
        kept = {name: list(values) for name, values in bound.items()}
        for node in own_nodes(function):
            for name, value in _kept(node):
                if name in self.lists:
                    kept[name] = [one for one in kept[name] if not _is_new_list(one)]
                elif None in kept.get(name, []):
                    kept[name].remove(None)
                kept.setdefault(name, []).append(value)
        known = self
        while (futures := _names_of(known.is_future, kept)) != known.futures:
            known = replace(known, futures=futures)
        return known

    def is_answer(self, node: ast.expr | None) -> bool:
        """Return whether the expression is an answer of a client."""
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)):
                return name in self.clients and method in METHODS
            case ast.Name(id=name):
                return name in self.answers
            case ast.NamedExpr(value=value):
                return self.is_answer(value)
        return False

    def is_status(self, node: ast.expr) -> bool:
        """Return whether the expression is the status code of an answer."""
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr="status_code"):
                return name in self.answers | self.responses
            case ast.Attribute(value=value, attr="status_code"):
                return _is_request(value)
        return False

    def is_future(self, node: ast.expr | None) -> bool:
        """Return whether the expression is a future of a pool, or several."""
        match node:
            case ast.Name(id=name):
                return name in self.futures
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="submit")) if name in self.pools:
                return True
            case ast.Call(args=[given, *_]):
                return self.is_wait(node) and self.is_future(given)
            case ast.ListComp(elt=one) | ast.SetComp(elt=one) | ast.GeneratorExp(elt=one):
                return self.is_future(one)
            case ast.List(elts=[_, *_] as parts):
                return all(map(self.is_future, parts))
        return False

    def is_wait(self, node: ast.expr) -> bool:
        """Return whether the expression calls ``wait`` or ``as_completed`` of ``concurrent.futures``."""
        match node:
            case ast.Call(func=ast.Name(id=name)):
                found = name in self.waits
            case ast.Call(func=ast.Attribute(value=module, attr=name)):
                found = name in WAITS and last_name(module) == "futures"
            case _:
                return False
        return found and (name == "wait" or len(node.args) + len(node.keywords) == 1)  # as_completed has a timeout

    def is_log(self, node: ast.Call) -> bool:
        """Return whether the call only logs."""
        match node.func:
            case ast.Attribute(value=ast.Name(id=name), attr=method):
                return method in LOG_METHODS and name in self.loggers
            case ast.Attribute(value=ast.Call(func=function), attr=method):
                return method in LOG_METHODS and last_name(function) in LOGGERS
        return False

    def truth(self, node: ast.expr) -> bool | None:
        """Return whether a condition is always true, or always false; None if it depends on something."""
        match node:
            case ast.Constant(value=value):
                return bool(value)
            case ast.Name(id=name) if name in self.values:
                return self.truth(self.values[name])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.truth(operand)
                return None if inner is None else not inner
        return False if is_empty(node, self) else None


NOTHING_KNOWN = Known()


def _names_of(
    holds: Callable[[ast.expr | None], bool], bound: Mapping[str, Sequence[ast.expr | None]]
) -> frozenset[str]:
    """Return the names whose values all fulfil a condition; None is a value that is not known."""
    return frozenset(name for name, values in bound.items() if all(map(holds, values)))


def _bound_once(function: Function) -> set[str]:
    bound = Counter(name for node in ast.walk(function) for name in names_bound(node))
    return {name for name, count in bound.items() if count == 1}


def _shared(function: Function) -> set[str]:
    """Return the names that the function shares with others."""
    return {name for node in ast.walk(function) if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}


def _is_executor(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and last_name(node.func) in EXECUTORS


def _is_new_list(node: ast.expr | None) -> bool:
    return isinstance(node, ast.List) and not node.elts


def _kept(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that hold a part of a value, such as an element, and this value."""
    match node:
        case ast.For(target=ast.Name(id=name), iter=value) | ast.comprehension(target=ast.Name(id=name), iter=value):
            yield name, value
        case ast.Assign(targets=[ast.Tuple(elts=parts)], value=value):
            yield from ((one.id, value) for one in parts if isinstance(one, ast.Name))
        case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"), args=[value]):
            yield name, value


def _loggers(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (one.asname or one.name for one in names if one.name in {"logging", "traceback"})
        case ast.ImportFrom(module="loguru", names=names):
            yield from (one.asname or one.name for one in names if one.name == "logger")
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)) if last_name(function) in LOGGERS:
            yield name


def _waits(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom) and node.module == "concurrent.futures":
        yield from (one.asname or one.name for one in node.names if one.name in WAITS)


def _constants(scope: ast.AST, nodes: Iterable[ast.AST], once: Collection[str]) -> dict[str, ast.expr]:
    """Return the values of the names in ``once`` that are constants in a scope, and that nothing can change.

    A list or another container is one only if all code reads it in a loop. A text with the name may be an access by name.
    """
    every = list(ast.walk(scope))
    other = {one.attr for one in every if isinstance(one, ast.Attribute)}
    texts = [one.value for one in every if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    loops = Counter(
        one.iter.id for one in every
        if isinstance(one, ast.For | ast.AsyncFor | ast.comprehension) and isinstance(one.iter, ast.Name)
    )  # fmt: skip
    loads = Counter(one.id for one in every if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load))
    found = {}
    for name, value in (pair for node in nodes for pair in _assigned(node)):
        unchanged = isinstance(value, ast.Constant) or (loads[name] == loops[name] and is_iterable(value))
        if unchanged and name in once and name not in other and not any(name in text for text in texts):
            found[name] = value
    return found


def _is_request(node: ast.expr | None) -> bool:
    if isinstance(node, ast.NamedExpr):
        return _is_request(node.value)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS


def _assigned(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((one.id, value) for one in targets if isinstance(one, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
            yield name, value
        case ast.NamedExpr(target=ast.Name(id=name), value=value):
            yield name, value


def literal(node: ast.expr) -> tuple[Any] | None:
    """Return the value of an expression of constants, in a tuple; None for any other expression."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def is_empty(node: ast.expr, known: Known = NOTHING_KNOWN) -> bool:
    """Return whether the expression has no element that a loop could take."""
    match node:
        case ast.List(elts=[]) | ast.Tuple(elts=[]) | ast.Dict(keys=[]) | ast.Constant(value="" | b""):
            return True
        case ast.GeneratorExp(generators=[first, *_]) | ast.ListComp(generators=[first, *_]):
            return is_empty(first.iter, known)
        case ast.Name(id=name) if name in known.values:
            return is_empty(known.values[name], known)
        case ast.Call(func=ast.Name(id="dict" | "list" | "set" | "tuple"), args=[], keywords=[]):
            return True
        case ast.Call(func=ast.Name(id="range"), args=[_, *_] as parts):
            values = [one[0] for one in map(literal, parts) if one]
            return len(values) == len(parts) and all(isinstance(one, int) for one in values) and not range(*values[:3])
        case ast.Call(func=ast.Name(id="zip"), args=parts):
            return any(is_empty(one, known) for one in parts)
        case ast.Call(func=ast.Name(id="enumerate" | "reversed" | "sorted"), args=[one, *_]):
            return is_empty(one, known)
        case ast.Call(func=ast.Attribute(value=value, attr="items" | "keys" | "values"), args=[]):
            return is_empty(value, known)
    return False


def is_iterable(node: ast.expr) -> bool:
    """Return whether the expression is a list, a tuple or another container, written out with constants."""
    return is_empty(node) or (isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict) and literal(node) is not None)
