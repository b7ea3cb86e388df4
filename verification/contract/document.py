"""Reads an OpenAPI document and the files that it refers to, and resolves every ``$ref``; it never uses the network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import yaml

Tokens = tuple[str, ...]
_IN_MEMORY = Path("document")
# Keywords whose value maps names that the author chose: such a name is not a keyword, even if it reads like one.
_MAPS = {
    *("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies", "paths"),
    *("webhooks", "schemas", "responses", "parameters", "examples", "requestBodies", "headers", "mediaTypes"),
    *("securitySchemes", "links", "callbacks", "pathItems", "content", "encoding", "variables", "mapping", "scopes"),
}
# Keywords whose value is data: `$ref` in it is not a reference.
_DATA = frozenset(("example", "default", "const", "enum", "value"))
_BASES = {"0x": 16, "0o": 8}
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_LONGEST = 120
_DEEPEST = 250
_MOST_LEVELS = 1000
"""How deep YAML may be nested for its loader, which calls itself for each level and has no limit of its own."""
_MOST = 300_000


class InvalidDocument(ValueError):
    """An OpenAPI document that cannot be used: the place, the fault and the next step."""


class Files:
    """The files of one document, each read once, and the ``$id`` and anchors of the schemas in them."""

    __slots__ = ("_anchors", "_bases", "_contents", "_ids", "_root")

    def __init__(self, root: Path, contents: Any) -> None:
        self._root = root
        self._contents: dict[Path, Any] = {}
        self._ids: dict[str, Node] = {}
        self._bases: dict[tuple[Path, Tokens], str] = {}
        self._anchors: dict[tuple[str, str], Node] = {}
        self._add(root, contents)
        own = contents.get("$self") if isinstance(contents, Mapping) else None
        if isinstance(own, str) and urlsplit(own).scheme:  # OpenAPI 3.2
            self._ids.setdefault(urldefrag(own)[0], self.root)

    @property
    def root(self) -> Node:
        """Return the document itself."""
        return self.whole(self._root)

    def whole(self, path: Path) -> Node:
        """Return the root of a file that was read before."""
        return Node(self, path, (), self._contents[path])

    def named(self, path: Path) -> str:
        """Return a file's name relative to the document's folder; empty for the document itself."""
        if path == self._root:
            return ""
        folder = self._root.parent
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name

    def find(self, node: Node, ref: str) -> Node:
        """Return the target of a ``$ref`` that stands in a node. Raises InvalidDocument if there is none."""
        base = self._base(node)
        name, fragment = urldefrag(urljoin(base, ref) if base else ref)
        if base and name not in self._ids:
            name, fragment = urldefrag(ref)  # schemas with an `$id` also refer to the document, as if they had none
        whole = self._ids[name] if name in self._ids else self._whole(node, name, ref)
        if fragment == "/" and isinstance(whole.value, Mapping) and "" not in whole.value:
            return whole  # some documents write #/ for the whole file
        if not fragment or fragment.startswith("/"):
            return whole.at(_tokens(fragment), ref)
        anchored = self._anchors.get((name or base, fragment)) or self._anchors.get((str(whole.file), fragment))
        if anchored is None:
            raise node.wrong(f"$ref {ref!r} names the anchor {fragment!r}, which does not exist")
        return anchored

    def _base(self, node: Node) -> str:
        """Return the ``$id`` of the schema that encloses a node; empty if there is none."""
        if not self._bases:
            return ""
        places = (node.tokens[:length] for length in range(len(node.tokens), -1, -1))
        return next((self._bases[node.file, place] for place in places if (node.file, place) in self._bases), "")

    def _whole(self, node: Node, name: str, ref: str) -> Node:
        """Return the root of the file that a ``$ref`` names. Raises InvalidDocument if it cannot be read."""
        if not name:
            return self.whole(node.file)
        if urlsplit(name).scheme or name.startswith("//"):
            raise node.wrong(
                f"$ref {ref!r} leads out of the folder, and a contract is read without the network: "
                "keep a copy of that document beside this one and refer to it by a relative path"
            )
        try:
            path = (node.file.parent / unquote(name)).resolve()
        except (RuntimeError, ValueError) as error:  # links in a circle; a NUL
            raise node.wrong(f"$ref {ref!r} names a file that cannot be read ({error})") from None
        if path not in self._contents:
            try:
                contents = read(path)
            except OSError as error:
                raise node.wrong(
                    f"$ref {ref!r} names a file that cannot be read ({error.strerror or type(error).__name__})"
                ) from None
            except InvalidDocument as error:
                raise node.wrong(f"$ref {ref!r} names a file that cannot be used: {error}") from None
            self._add(path, contents)
        return self.whole(path)

    def _add(self, path: Path, contents: Any) -> None:
        self._contents[path] = contents
        for node, base in _identified(Node(self, path, (), contents)):
            if isinstance(node.value.get("$id"), str):
                self._ids[base] = node
                self._bases[path, node.tokens] = base
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := node.value.get(keyword), str):
                    self._anchors[base or str(path), name] = node
                    self._anchors.setdefault((str(path), name), node)


@dataclass(frozen=True)
class Node:
    """A value of a document with its place: file, and the tokens of its JSON pointer."""

    files: Files = field(repr=False, compare=False)
    file: Path
    tokens: Tokens
    value: Any = field(repr=False, compare=False)

    def wrong(self, problem: str, *further: str) -> InvalidDocument:
        """Return the error for a problem at this node, with the JSON pointer."""
        return InvalidDocument(f"{self.files.named(self.file)}{pointer((*self.tokens, *further))}: {problem}")

    def child(self, key: str | int) -> Node:
        """Return the node of a key or an index, without following a ``$ref``."""
        return Node(self.files, self.file, (*self.tokens, str(key)), self.value[key])

    def around(self, flag: str) -> Node | None:
        """Return the nearest object around this node in which a flag is true; None if there is none."""
        node, found = self.files.whole(self.file), None
        for token in self.tokens:
            if isinstance(node.value, Mapping):
                found = node if node.value.get(flag) is True else found
                node = node.child(token)
            else:
                node = Node(self.files, self.file, (*node.tokens, token), node.value[int(token)])
        return found

    def at(self, tokens: Tokens, ref: str) -> Node:
        """Return the node that a JSON pointer names from here. Raises InvalidDocument if there is none."""
        node = self
        for token in tokens:
            if isinstance(node.value, Mapping) and token not in node.value:
                node = node.follow()  # a part of the document that stands in another file
            value = node.value
            if isinstance(value, Mapping) and token in value:
                node = node.child(token)
            elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
                node = Node(self.files, self.file, (*node.tokens, token), value[int(token)])
            else:
                known = ", ".join(map(str, value)) if isinstance(value, Mapping) else ""
                raise node.wrong(
                    f"$ref {ref!r} leads nowhere: {token!r} does not exist here, only {known[:_LONGEST] or 'a value'}"
                )
        return node

    def follow(self) -> Node:
        """Return this node or, if it is a ``$ref``, its target, also over several steps."""
        node, seen = self, {self}
        while isinstance(node.value, Mapping) and isinstance(ref := node.value.get("$ref"), str):
            node = node.child("$ref").target(ref)
            if node in seen:
                raise self.wrong(f"the $ref {self.value['$ref']!r} is circular: it leads back to itself", "$ref")
            seen.add(node)
        return node

    def target(self, ref: str) -> Node:
        """Return the node that a ``$ref`` at this node names. Raises InvalidDocument with both places if there is none."""
        try:
            return self.files.find(self, ref)
        except InvalidDocument as error:
            here = str(self.wrong(""))
            raise error if str(error).startswith(here) else InvalidDocument(f"{here}{error}") from None

    def mapping(self, key: str, *, extensible: bool = False) -> Iterator[tuple[str, Node]]:
        """Yield name and node of each entry of a mapping; nothing if the key is absent.

        If it is ``extensible``, names with ``x-`` are extensions and left out; elsewhere they are names as any other.
        Raises InvalidDocument if the value is not a mapping.
        """
        if self.value.get(key) is not None:
            for name, node in self.child(key).entries().items():
                if not (extensible and name.startswith("x-")):
                    yield name, node

    def entries(self) -> dict[str, Node]:
        """Return the nodes of a mapping of names, including those behind a ``$ref`` that stands for the whole mapping.

        Raises InvalidDocument if the value is neither a mapping nor empty: PHP writes an empty mapping as ``[]``.
        """
        if self.value is None or self.value == []:
            return {}
        if not isinstance(self.value, Mapping):
            raise self.wrong(f"must be a mapping, not {_kind(self.value)}")
        if not isinstance(self.value.get("$ref"), str):
            return {name: self.child(name) for name in self.value}
        behind = self.child("$ref").target(self.value["$ref"]).entries()
        return {**behind, **{name: self.child(name) for name in self.value if name != "$ref"}}

    def object(self) -> Node:
        """Return the node after its references, which must be a mapping or empty. Raises InvalidDocument otherwise."""
        node = self.follow()
        if node.value is None or node.value == []:
            return replace(node, value={})
        if not isinstance(node.value, Mapping):
            raise node.wrong(f"must be a mapping, not {_kind(node.value)}")
        return node


def load(path: Path) -> Node:
    """Return the root of a document, after every reference in it was resolved once.

    Raises OSError, or InvalidDocument with the place of the fault.
    """
    contents = read(path)  # before resolve(), which raises RuntimeError for links in a circle
    return checked(Files(path.resolve(), contents))


def in_memory(document: Mapping[str, Any]) -> Node:
    """Return the root of a document that is already parsed, by any reader of YAML: its statuses may be numbers."""
    return checked(Files(_IN_MEMORY.resolve(), json.loads(json.dumps(document, default=str))))


def checked(files: Files) -> Node:
    """Return the root. Raises InvalidDocument for another format or version, or a reference that leads nowhere."""
    root = files.root
    document = root.value
    if not isinstance(document, Mapping):
        raise root.wrong(f"an OpenAPI document must be a mapping, not {_kind(document)}")
    version = str(document.get("openapi", "missing")).strip()
    if "swagger" in document and not version.startswith("3"):
        raise root.wrong(
            f"this is Swagger {document['swagger']}, and only OpenAPI 3 can be checked: "
            "convert it to OpenAPI 3 (for example with `npx swagger2openapi`) and use the result",
            "swagger",
        )
    if not re.fullmatch(r"3\.[0-2](\.\d+(-\w+)?)?", version):
        raise root.wrong(f"the version of OpenAPI is {version}, and must be 3.0, 3.1 or 3.2, such as 3.1.0", "openapi")
    if not isinstance(document.get("paths"), Mapping):
        raise root.wrong("this document has no paths, so no answer can be checked against it", "paths")
    _resolve_all(root)
    return root


def read(path: Path) -> Any:
    """Return the content of a YAML or JSON file. Raises OSError, or InvalidDocument with the line of the fault."""
    if (
        path.is_fifo() or path.is_char_device() or path.is_block_device()
    ):  # a pipe waits for its writer, a device has no end
        raise InvalidDocument(f"{path.name} is not a regular file")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocument(
            f"{path.name} is not UTF-8: byte {error.start} is {error.object[error.start]:#04x}"
        ) from None
    try:
        if text.lstrip()[:1] in ("{", "["):
            try:
                return json.loads(text, object_pairs_hook=_without_duplicates)
            except json.JSONDecodeError:
                pass  # YAML's flow style also begins with a brace
        _refuse_deep(text, path.name)
        return yaml.load(text, Loader=_loader())  # noqa: S506 - derived from a safe loader
    except yaml.YAMLError as error:
        raise InvalidDocument(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InvalidDocument(f"{path.name} is nested too deep") from None
    except ValueError as error:
        raise error if isinstance(error, InvalidDocument) else InvalidDocument(f"{path.name}: {error}") from None


def _refuse_deep(text: str, name: str) -> None:
    """Raise InvalidDocument for YAML of so many levels that the loader would end the process; only reading events needs no stack."""
    levels = 0
    for event in yaml.parse(text, Loader=_loader()):
        if isinstance(event, yaml.CollectionStartEvent):
            levels += 1
            if levels > _MOST_LEVELS:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise InvalidDocument(f"{name} is nested too deep: line {line} begins level {levels} of its values")
        elif isinstance(event, yaml.CollectionEndEvent):
            levels -= 1


def pointer(tokens: Iterable[str]) -> str:
    """Return a JSON pointer as a fragment (RFC 6901): ``#/paths/~1health/get``."""
    return "#" + "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def _tokens(fragment: str) -> Tokens:
    parts = unquote(fragment).split("/")[1:] if fragment else []
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{json.dumps(value, default=str)[:_LONGEST]}"


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidDocument(f"the key {twice!r} occurs twice in one object: remove or rename one of them")
    return found


@lru_cache(maxsize=1)
def _loader() -> type[yaml.SafeLoader]:
    """Return a loader for YAML 1.2's core schema, as OpenAPI requires it: ``no`` and ``2026-01-01`` are texts."""
    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, if PyYAML was built with libyaml

    class Loader(base):  # type: ignore[misc]  # chosen when it runs
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            try:
                return super().construct_object(node, deep)
            except (
                ArithmeticError,
                AttributeError,
                LookupError,
                TypeError,
                ValueError,
            ):  # what PyYAML's constructors raise
                problem = f"the value does not fit its type, {node.tag.rpartition(':')[2]}"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: ARG002 - always deep
            if not isinstance(node, yaml.MappingNode):
                return super().construct_mapping(node)  # raises ConstructorError
            own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            if len(set(own)) < len(own):
                twice = next(name for name in own if own.count(name) > 1)
                problem = f"the key {twice!r} occurs twice: remove or rename one of them"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            self.flatten_mapping(node)
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key.start_mark)
            # A key is always a text, also `200:`. Deep: a recursive alias is then an error instead of an endless structure.
            return {str(key.value): self.construct_object(value, deep=True) for key, value in node.value}

    for tag, pattern, first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
        ("null", r"~|null|Null|NULL|", "~nN\0"),
        ("merge", r"<<", "<"),
    ):
        Loader.add_implicit_resolver(
            f"tag:yaml.org,2002:{tag}",
            re.compile(f"(?:{pattern})$"),
            [*first.replace("\0", ""), *([""] if "\0" in first else [])],
        )
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value, _BASES.get(node.value[:2], 10)))
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))
    return Loader


def _identified(root: Node) -> Iterator[tuple[Node, str]]:
    """Yield the objects with ``$id`` or an anchor, each with its base. Raises InvalidDocument if there are too many parts."""
    stack = [(root, "", False)]
    count = 0
    while stack:
        node, base, names = stack.pop()
        count += 1
        if count > _MOST:
            raise root.wrong(f"there are more than {_MOST} mappings and lists, because aliases of YAML repeat them")
        if len(node.tokens) > _DEEPEST:
            raise root.wrong(f"the document is nested deeper than {_DEEPEST} levels")
        if isinstance(node.value, list):
            stack += [
                (node.child(i), base, False) for i, one in enumerate(node.value) if isinstance(one, Mapping | list)
            ]
        elif isinstance(node.value, Mapping):
            if not names:
                base = urljoin(base, own) if isinstance(own := node.value.get("$id"), str) else base
                if any(isinstance(node.value.get(key), str) for key in ("$id", "$anchor", "$dynamicAnchor")):
                    yield node, base.rstrip("#")
            stack += [
                (node.child(key), base, not names and key in _MAPS)
                for key, value in node.value.items()
                if isinstance(value, Mapping | list) and (names or key not in _DATA)
            ]


def _resolve_all(root: Node) -> None:
    """Follow every reference of the document and its files. Raises InvalidDocument for the first fault."""
    seen: set[int] = set()
    stack = [(root, False)]
    while stack:
        node, names = stack.pop()
        value = node.value
        if id(value) in seen or not isinstance(value, Mapping | list):
            continue
        seen.add(id(value))
        if isinstance(value, list):
            stack += [(node.child(i), False) for i in range(len(value) if node.tokens[-1:] != ("examples",) else 0)]
            continue
        if isinstance(value.get("$ref"), str):
            stack.append((node.follow(), names))
        elif not names and "$ref" in value:
            raise node.wrong(f"must be a text, not {_kind(value['$ref'])}", "$ref")
        for key in value:
            # Extensions stand between keywords, and beside paths and statuses; elsewhere a name may begin with x-.
            extension = key.startswith("x-") and (not names or node.tokens[-1] in ("paths", "responses", "webhooks"))
            if not extension and (names or key not in _DATA):
                stack.append((node.child(key), not names and key in _MAPS))
