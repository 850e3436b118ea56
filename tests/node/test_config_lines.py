"""Where in a TOML text each key stands, however it is written."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.config_lines import find_lines
from liminal_mesh.node.config_problems import Location

TEXTS: dict[str, tuple[str, dict[int, Location]]] = {
    "plain keys": ("a = 1\n\nb = 2", {1: ("a",), 3: ("b",)}),
    "dotted and quoted keys": (
        'a.b = 1\n"c d".\'e.f\' = 2\n a . "g\\u0041" = 3',
        {1: ("a", "b"), 2: ("c d", "e.f"), 3: ("a", "gA")},
    ),
    "tables": (
        "[a]\nb = 1\n[ c . d ] # a comment\ne = 2",
        {1: ("a",), 2: ("a", "b"), 3: ("c", "d"), 4: ("c", "d", "e")},
    ),
    "arrays of tables": (
        "[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 2\n[[a.e]]\nf = 3\n[[a.e]]\n[[a]]\n[[a.e]]\ng = 4",
        {
            1: ("a", 0),
            2: ("a", 0, "b"),
            3: ("a", 1),
            4: ("a", 1, "c"),
            5: ("a", 1, "c", "d"),
            6: ("a", 1, "e", 0),
            7: ("a", 1, "e", 0, "f"),
            8: ("a", 1, "e", 1),
            9: ("a", 2),
            10: ("a", 2, "e", 0),
            11: ("a", 2, "e", 0, "g"),
        },
    ),
    "what stands in long texts": (
        'a = """\nb = 1 \\"""\n[c]\n"""\nd = \'\'\'\n[e]\nf = 2\'\'\'\'\ng = 3',
        {1: ("a",), 5: ("d",), 8: ("g",)},
    ),
    "what stands in comments": ('# a = """\nb = "#" # [c]\n# """\nd = 1', {2: ("b",), 4: ("d",)}),
    "lists over several lines": (
        "a = [\n  [1],\n  [2]\n] # ]\nb = [[\n1\n], [ # [\n{ c = 1 },\n'[', \"]\",\n]]\nd = 2",
        {1: ("a",), 5: ("b",), 11: ("d",)},
    ),
    "inline tables": ("a = { b = 1, c = { d = 2 } }\ne = 3", {1: ("a",), 2: ("e",)}),
    "lines that end as elsewhere": ("a = 1\r\n[b]\r\nc = 2\r\n", {1: ("a",), 2: ("b",), 3: ("b", "c")}),
}


@pytest.mark.parametrize("what", TEXTS)
def test_each_key_is_found_in_its_line(what: str) -> None:
    """And nothing that merely looks like one."""
    text, expected = TEXTS[what]
    tomllib.loads(text)
    assert {line.number: line.location for line in find_lines(text)} == expected


NAMES = st.sampled_from(["a", "b", "c", "d e", "f.g", "[h]"])
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.integers(0, 9), st.sampled_from(["", "# x", "[a]", "a = 1", "'", '"""']), st.lists(st.integers(0, 9))),
    lambda inside: st.dictionaries(NAMES, inside, max_size=3) | st.lists(st.dictionaries(NAMES, inside, max_size=2)),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_a_tree_is_found_as_it_was_written(tree: dict[str, Any]) -> None:
    """Every value that stands on a line of its own, and every heading."""
    lines: list[str] = []
    expected: dict[int, Location] = {}
    _write(tree, (), (), lines, expected)
    text = "\n".join(lines)
    tomllib.loads(text)
    assert {line.number: line.location for line in find_lines(text)} == expected


def _write(
    tree: dict[str, Any],
    names: tuple[str, ...],
    where: Location,
    lines: list[str],
    expected: dict[int, Location],
) -> None:
    """Write a tree as TOML, tables behind values, and note in which line what stands."""
    for key, value in tree.items():
        if not _is_table(value):
            lines.append(f"{_quoted(key)} = {_inline(value)}")
            expected[len(lines)] = (*where, key)
            if isinstance(value, list):  # over several lines
                lines.append("]")
    for key, value in tree.items():
        for index, one in enumerate(value if isinstance(value, list) else [value]) if _is_table(value) else ():
            many = isinstance(value, list)
            dotted = ".".join(map(_quoted, (*names, key)))
            lines.append(f"[[{dotted}]]" if many else f"[{dotted}]")
            expected[len(lines)] = (*where, key, index) if many else (*where, key)
            _write(one, (*names, key), expected[len(lines)], lines, expected)


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _quoted(key: str) -> str:
    return key if key.isalnum() else f'"{key}"'


def _inline(value: object) -> str:
    if isinstance(value, str):
        return "'''" + value + "'''" if value != "'" else '"\'"'
    return "[" + "".join(f"{one}, " for one in value) if isinstance(value, list) else str(value)
