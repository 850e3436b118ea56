"""Names and patterns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.names import check_name, check_pattern, is_pattern, matches, nearest

TOKENS = st.text("abC9_-", min_size=1, max_size=3)
NAMES = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize("name", ["a", "orders.eu.1", "A_b-c", "-", "x" * 256])
def test_a_good_name_is_returned_as_it_is(name: str) -> None:
    """Names and patterns share their rules for tokens."""
    assert check_name(name) == name
    assert check_pattern(name) == name
    assert not is_pattern(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty"),
        ("x" * 257, "at most 256"),
        ("$bus.events", "reserved"),
        (".a", "empty token"),
        ("a..b", "empty token"),
        ("a.", "empty token"),
        ("a b", "no channel name"),
        ("a\n", "no channel name"),
        ("größe", "no channel name"),
        ("a.b\x1b[31m", "no channel name"),
        ("orders.*", "is a pattern"),
        ("orders.>", "is a pattern"),
        ("orders.x*", "stand alone"),
    ],
)
def test_a_bad_name_is_refused_and_the_text_says_why(name: str, why: str) -> None:
    """The text is fit for a terminal, whatever the name holds."""
    with pytest.raises(ValueError, match=why) as refusal:
        check_name(name)

    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("pattern", ["*", ">", "a.*", "*.b", "a.*.c.>", "a.>"])
def test_wildcards_stand_alone_in_their_token(pattern: str) -> None:
    """A star anywhere, an arrow at the end."""
    assert check_pattern(pattern) == pattern
    assert is_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "why"), [(">.a", "last token"), ("a.>.>", "last token"), ("a*", "stand alone"), ("a.b>", "stand alone")]
)
def test_a_bad_pattern_is_refused_and_the_text_says_why(pattern: str, why: str) -> None:
    """What looks like a wildcard and is none is told apart from a bad character."""
    with pytest.raises(ValueError, match=why):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*.b", "a.b", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "b.c", False),
        (">", "a", True),
        ("*.>", "a", False),
        ("*.>", "a.b", True),
    ],
)
def test_a_star_is_one_token_and_an_arrow_one_or_more(pattern: str, name: str, expected: bool) -> None:
    """The table of the meaning of patterns."""
    assert matches(pattern, name) is expected


@given(NAMES, st.data())
def test_a_pattern_made_from_a_name_matches_it(name: str, data: st.DataObject) -> None:
    """Replacing tokens by stars, and a tail by an arrow, never loses the name."""
    tokens = [data.draw(st.sampled_from([token, "*"])) for token in name.split(".")]
    cut = data.draw(st.integers(0, len(tokens)))
    pattern = ".".join(tokens if cut == len(tokens) else [*tokens[:cut], ">"])

    assert check_pattern(pattern) == pattern
    assert matches(pattern, name)


def test_the_nearest_name_is_suggested_and_nothing_far() -> None:
    """A suggestion that is not near would only confuse."""
    assert nearest("ordres", ["orders", "metrics"]) == "orders"
    assert nearest("zzz", ["orders", "metrics"]) == ""
    assert nearest("x" * 100_000, ["orders"]) == ""
    assert nearest("orders-0500x", [f"orders-{number:04d}" for number in range(1000)]) == "orders-0500"


def test_a_suggestion_costs_little_however_the_name_is_made() -> None:
    """A client can ask for channels that are not there as often as it likes."""
    names = [f"{'aab' * 20}-{number:04d}" for number in range(10_000)]
    for name in ("ab" * 99, "ab" * 32, names[5000] + "x", "x"):
        began = time.process_time()
        nearest(name, names)
        assert time.process_time() - began < 0.2  # a second and more, if all were compared
