"""Finds the schemas that a discriminator chooses from, and the values that choose them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verification.contract.document import Node


def components(root: Node) -> dict[str, Node]:
    """Return the schemas of ``components/schemas`` by name. Raises InvalidDocument if one of the two is not a mapping."""
    if root.value.get("components") is None:
        return {}
    return dict(root.child("components").object().mapping("schemas", extensible=True))


def entries(node: Node) -> list[Node]:
    if not isinstance(node.value, list) or not node.value:
        raise node.wrong("must be a list of schemas")
    return [node.child(index) for index in range(len(node.value))]


def mapped(node: Node) -> Node:
    """Return the schema of an entry of a discriminator's mapping, which is a name or a reference."""
    value = node.value
    if not isinstance(value, str):
        raise node.wrong("must be the name of a schema or a reference to one")
    return components(node.files.root).get(value) or node.target(value)


def targets_of(named: str, members: Iterable[Node], explicit: Mapping[str, Node]) -> tuple[dict[str, Node], bool]:
    """Return the members by the discriminator's value, and whether a member is inline and lists no value."""
    found: dict[str, Node] = {}
    inline = False
    for member in members:
        target = member.follow()
        names = [value for value, one in explicit.items() if one.follow() == target]
        names += _constants(target, named, frozenset())
        if target != member:
            names.append(target.tokens[-1] if target.tokens else target.file.stem)
        inline = inline or not names
        for name in names:
            found.setdefault(name, target)
    return found, inline


def _constants(node: Node, named: str, seen: frozenset[Node]) -> list[str]:
    """Return the values that a schema allows for the discriminator's property, if it lists them."""
    node = node.follow()
    value = node.value
    if not isinstance(value, Mapping) or node in seen:
        return []
    own = (node.child("properties").entries() if "properties" in value else {}).get(named)
    listed = own.follow().value if own is not None else {}
    if not isinstance(listed, Mapping):
        return []
    found = [
        one
        for one in (*(listed.get("enum") or ()), *([listed["const"]] if "const" in listed else ()))
        if isinstance(one, str)
    ]
    for index in range(len(value["allOf"]) if isinstance(value.get("allOf"), list) else 0):
        found += _constants(node.child("allOf").child(index), named, seen | {node})
    return found


def ancestors(node: Node, seen: frozenset[Node]) -> frozenset[Node]:
    """Return the schemas that a schema includes by allOf."""
    node = node.follow()
    if not isinstance(node.value, Mapping) or node in seen:
        return seen
    seen |= {node}
    for index in range(len(node.value["allOf"]) if isinstance(node.value.get("allOf"), list) else 0):
        seen |= ancestors(node.child("allOf").child(index), seen)
    return seen
