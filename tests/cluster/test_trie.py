"""Patterns find the names that they match."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.trie import TokenTrie, is_pattern

tokens = st.sampled_from(["a", "b", "c", "", "*", ">"])
names = st.lists(tokens, min_size=1, max_size=4).map(".".join)


def naive_match(pattern: str, name: str) -> bool:
    """Match one pattern token by token."""
    wanted, parts = pattern.split("."), name.split(".")
    if wanted[-1] == ">":
        wanted.pop()
        if len(parts) <= len(wanted):
            return False
        parts = parts[: len(wanted)]
    return len(wanted) == len(parts) and all(want in ("*", part) for want, part in zip(wanted, parts, strict=True))


@pytest.mark.parametrize(
    ("pattern", "matches", "differs"),
    [
        ("orders.*", ["orders.eu", "orders.*"], ["orders", "orders.eu.1", "order.eu"]),
        ("orders.>", ["orders.eu", "orders.eu.1"], ["orders", "order.eu"]),
        (">", ["orders", "orders.eu"], []),
        ("*.eu.>", ["orders.eu.1.2"], ["orders.eu", "eu.orders.1"]),
        ("orders", ["orders"], ["orders.eu", "Orders"]),
    ],
)
def test_a_star_is_one_token_and_a_last_arrow_the_rest(pattern: str, matches: list[str], differs: list[str]) -> None:
    """The rules, one by one."""
    trie = TokenTrie()
    trie.add(pattern)

    assert all(trie.match(name) == [pattern] for name in matches)
    assert not any(trie.match(name) for name in differs)


@given(st.lists(names), st.lists(names), names)
def test_it_agrees_with_matching_one_by_one(added: list[str], removed: list[str], name: str) -> None:
    """Whatever was added and removed, a name finds what a scan of all patterns would find."""
    trie = TokenTrie()
    for pattern in added:
        trie.add(pattern)
    for pattern in removed:
        trie.remove(pattern)
    left = set(added) - set(removed)

    found = trie.match(name)

    assert sorted(found) == sorted(pattern for pattern in left if naive_match(pattern, name))
    assert len(trie) == len(left)


@given(st.lists(names))
def test_removing_all_leaves_nothing(patterns: list[str]) -> None:
    """No branch stays behind, so patterns that come and go cost no memory."""
    trie = TokenTrie()
    for pattern in patterns:
        trie.add(pattern)
    for pattern in reversed(patterns):
        trie.remove(pattern)

    assert len(trie) == 0
    assert not trie._root.below


@given(st.lists(names, max_size=30), st.lists(names, max_size=30))
def test_there_are_no_more_branches_than_two_for_each_pattern(added: list[str], removed: list[str]) -> None:
    """However long and however alike they are, and whatever has gone: none stands between two others for nothing."""
    trie = TokenTrie()
    for pattern in added:
        trie.add(pattern)
    for pattern in removed:
        trie.remove(pattern)
    branches, waiting = 0, [trie._root]
    while waiting:
        below = waiting.pop().below.values()
        branches += len(below)
        waiting += below
        assert not any(branch.needless for branch in below)
    assert branches <= 2 * len(trie)


def test_a_pattern_takes_the_space_of_its_text() -> None:
    """A client can make them as long as names may be, with as many tokens."""
    tracemalloc.start()
    trie = TokenTrie()
    for number in range(1000):
        trie.add(".".join([*f"{number:04}", *"abcdefgh" * 15, "*"]))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 2 << 20


def test_only_whole_wildcard_tokens_make_a_pattern() -> None:
    """A star within a token, or an arrow that is not last, is text."""
    assert [name for name in ("a", "a.*", "a.>", "*", ">", "a*", "a.>.b", "a>") if is_pattern(name)] == [
        "a.*",
        "a.>",
        "*",
        ">",
    ]
