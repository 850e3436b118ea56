"""The defaults that a JSON Schema names, put into values before these are checked.

A default stands at a property, at what the property refers to, or in its ``allOf``. It is put in where an object lacks
the property: in the value itself, in its properties (``properties``, and ``additionalProperties`` where there are no
``patternProperties``), in the items of its lists (``items``, ``prefixItems``), and in whatever references and ``allOf``
lead to from there. A default that is an object gets the defaults of its own properties. Nothing else is made up: no
object that is missing and has no default, and no item of a list. What holds only for some values (``anyOf``, ``oneOf``,
``not``, ``if``, ``dependentSchemas``, ...) names no defaults.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from .schema_document import MISSING, JsonSchema, Keywords, SchemaDocument

__all__ = ["Defaults", "Fill"]


class Fill:
    """One default, with the defaults of its own properties in it."""

    __slots__ = ("_busy", "_node", "_raw", "_text", "schema", "where")

    def __init__(self, raw: Any, node: _Node, schema: JsonSchema, where: str) -> None:
        self.schema = schema
        """What the property has to be."""
        self.where = where
        """Its place in the document."""
        self._raw = raw
        self._node = node
        self._text = b""
        """The whole default as JSON, which is the fastest way to copies of it; none of what needs no copy."""
        self._busy = False

    def make(self) -> Any:
        """Return the whole default for one value, which may be changed.

        Raises:
            ValueError: it would hold itself without end.
        """
        if not self._text:
            if not isinstance(self._raw, dict | list):
                return self._raw
            self._settle()
        return msgspec.json.decode(self._text)

    def _settle(self) -> None:
        """Put the defaults of its own properties into it."""
        if self._busy:
            raise ValueError(f"{self.where}: its default would hold itself without end")
        self._busy = True
        value = copy.deepcopy(self._raw)
        self._node.complete(value)
        self._text = msgspec.json.encode(value)


class _Part:
    """One schema of those that a value has to fulfil at once."""

    __slots__ = ("extra", "fills", "inner", "items", "known", "leading")

    def __init__(self) -> None:
        self.fills: dict[str, Fill] = {}
        self.inner: dict[str, _Node] = {}
        self.items: _Node | None = None
        self.leading: list[_Node] = []
        self.extra: _Node | None = None
        self.known: frozenset[str] = frozenset()

    def children(self) -> Iterator[_Node]:
        yield from self.inner.values()
        yield from self.leading
        yield from (node for node in (self.items, self.extra) if node is not None)

    @property
    def active(self) -> bool:
        """Whether it ever puts anything in."""
        return bool(self.fills) or any(node.active for node in self.children())

    def prune(self) -> None:
        """Drop what never puts anything in."""
        self.inner = {name: node for name, node in self.inner.items() if node.active}
        self.items = self.items if self.items is not None and self.items.active else None
        self.extra = self.extra if self.extra is not None and self.extra.active else None
        if not any(node.active for node in self.leading) and self.items is None:
            self.leading = []

    def node_of(self, name: str) -> _Node | None:
        """Return what is put into the value of a property."""
        return self.inner.get(name) or (None if name in self.known else self.extra)

    def complete_object(self, value: dict[Any, Any]) -> bool:
        changed = False
        for name, fill in self.fills.items():
            if name not in value:
                value[name] = fill.make()
                changed = True
        for name, node in self.inner.items():
            if name in value:
                changed |= node.complete(value[name])
        if self.extra is not None:
            for name, inner in value.items():
                if name not in self.known:
                    changed |= self.extra.complete(inner)
        return changed

    def complete_list(self, value: list[Any]) -> bool:
        changed = False
        for node, item in zip(self.leading, value, strict=False):
            changed |= node.complete(item)
        if self.items is not None:
            for item in value[len(self.leading) :]:
                changed |= self.items.complete(item)
        return changed


class _Node:
    """What is put into the values that have to fulfil one schema."""

    __slots__ = ("active", "parts")

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.active = False
        """Whether it ever puts anything in."""

    def complete(self, value: object) -> bool:
        """Put in what is lacking, in place; return whether anything was."""
        changed = once = self._complete(value)
        while once and len(self.parts) > 1:  # what one part puts in may lack something by another
            once = self._complete(value)
        return changed

    def _complete(self, value: object) -> bool:
        changed = False
        if isinstance(value, dict):
            for part in self.parts:
                changed |= part.complete_object(value)
        elif isinstance(value, list):
            for part in self.parts:
                changed |= part.complete_list(value)
        return changed


class Defaults:
    """All defaults of one schema, ready to be put in.

    Args:
        document: the schema.

    Raises:
        ValueError: a default would hold itself without end.
    """

    def __init__(self, document: SchemaDocument) -> None:
        self._document = document
        self._nodes: dict[int, _Node] = {}
        self._parts: dict[int, _Part] = {}
        self._open: list[tuple[_Node, JsonSchema]] = []
        """Nodes that have no parts yet."""
        self._root = self._node(document.root)
        while self._open:
            node, schema = self._open.pop()
            node.parts = [self._part(part) for part in document.conjuncts(schema) if isinstance(part, dict)]
        self._settle()
        for fill in self.fills():
            fill.make()  # now, so that what is wrong with it shows now
        for part in self._parts.values():
            part.prune()

    def complete(self, value: object) -> bool:
        """Put the defaults into a value, in place; return whether it lacked any."""
        return self._root.active and self._root.complete(value)

    def fills(self) -> Iterator[Fill]:
        """Return all of them."""
        for part in self._parts.values():
            yield from part.fills.values()

    def fills_of(self, part: JsonSchema) -> dict[str, Fill]:
        """Return the defaults that one part of the document names, by property; none where values are not filled."""
        found = self._parts.get(id(part))
        return {} if found is None else found.fills

    def active_in(self, part: JsonSchema) -> bool:
        """Whether one part of the document ever puts anything into values, at any depth."""
        found = self._parts.get(id(part))
        return found is not None and found.active

    def filled(self, parts: Iterable[JsonSchema], name: str) -> Any:
        """Return what a property is given in an object that lacks it and has to fulfil all of these parts."""
        found = [part for part in map(self._parts.get, map(id, parts)) if part is not None]
        value = next(part.fills[name].make() for part in found if name in part.fills)
        nodes = [node for part in found if (node := part.node_of(name)) is not None]
        while any(node.complete(value) for node in nodes):
            pass
        return value

    def _node(self, schema: JsonSchema) -> _Node:
        node = self._nodes.get(id(schema))
        if node is None:
            node = self._nodes[id(schema)] = _Node()
            self._open.append((node, schema))
        return node

    def _part(self, schema: dict[str, Any]) -> _Part:
        part = self._parts.get(id(schema))
        if part is None:
            part = self._parts[id(schema)] = _Part()
            keywords = self._document.keywords(schema)
            for name, inner in keywords.get("properties", {}).items():
                part.inner[name] = self._node(inner)
                default = self._document.default(inner)
                if default is not MISSING:
                    where = f"{self._document.pointer(schema)}/properties/{name}"
                    part.fills[name] = Fill(default, part.inner[name], inner, where)
            self._fill_rest(part, keywords)
        return part

    def _fill_rest(self, part: _Part, keywords: Keywords) -> None:
        leading, rest = self._document.items(keywords)
        part.leading = [self._node(inner) for inner in leading]
        part.items = self._node(rest)
        if "patternProperties" not in keywords:
            part.extra = self._node(keywords.get("additionalProperties", True))
            part.known = frozenset(part.inner)

    def _settle(self) -> None:
        """Find out which nodes put anything in; they may hold each other in circles."""
        holders: dict[_Node, list[_Node]] = {}
        for node in self._nodes.values():
            for part in node.parts:
                for child in part.children():
                    holders.setdefault(child, []).append(node)
        active = [node for node in self._nodes.values() if any(part.fills for part in node.parts)]
        while active:
            node = active.pop()
            if not node.active:
                node.active = True
                active += holders.get(node, ())
