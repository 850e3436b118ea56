"""Which channels there are, whatever was declared and taken back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.node.channel import ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.declared import Declared
from liminal_mesh.node.errors import ChannelClosed, ChannelExists, ChannelNotConfigured, LimitExceeded
from liminal_mesh.node.names import is_pattern, matches

NAMES = ["a", "b", "m.a", "m.b", "m.*", "*", "m.>"]
EXACT = [name for name in NAMES if not is_pattern(name)]


def test_an_exact_name_goes_before_families_in_their_order() -> None:
    """And what bears the very text of a pattern before what covers it."""
    entries = [ChannelSettings(name) for name in ("m.>", "m.*", "m.a")]
    declared = Declared(entries)

    assert [one.name for one in declared.all()] == ["m.a", "m.>", "m.*"]
    assert [declared.covering(name).name for name in ("m.a", "m.b", "m.*", "m.>")] == ["m.a", "m.>", "m.*", "m.>"]  # type: ignore[union-attr]
    assert declared.covering("x") is None
    assert declared.get("m.b") is None
    assert ("m.a" in declared, "m.*" in declared) == (True, False)


def test_a_declaration_takes_the_place_of_the_one_of_its_name() -> None:
    """Among the families, too."""
    declared = Declared([ChannelSettings("m.>"), ChannelSettings("m.*")])
    declared.put(ChannelSettings("m.>", 7))

    assert [one.messages for one in declared.all()] == [7, 4096]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(NAMES)), max_size=12), st.sampled_from([*NAMES, "a.b.c"]))
def test_the_first_family_that_covers_a_name_is_asked_whatever_came_and_went(
    steps: list[tuple[bool, str]], name: str
) -> None:
    """By the order of their coming."""
    declared: Declared[ChannelSettings] = Declared([])
    order: dict[str, None] = {}
    for put, one in steps:
        if put:
            declared.put(ChannelSettings(one))
            order[one] = None
        elif one in order:
            declared.drop(one)
            del order[one]
    found = declared.covering(name)
    right = name if name in order else next((one for one in order if is_pattern(one) and covers(one, name)), None)
    assert (found.name if found is not None else None) == right


def covers(family: str, name: str) -> bool:
    """Whether a family covers all that a name, or a pattern, stands for."""
    return matches(family, name) and (family.endswith(">") or not name.endswith(">"))


@pytest.mark.parametrize(
    ("family", "pattern", "covered"),
    [("m.*", "m.>", False), ("*", ">", False), ("*.a", "*.>", False), ("m.>", "m.*", True), (">", "m.>", True)],
)
def test_a_family_covers_a_pattern_only_if_it_covers_all_of_it(family: str, pattern: str, covered: bool) -> None:
    """What has more tokens than it has is none of it."""
    assert (Declared([ChannelSettings(family)]).covering(pattern) is not None) == covered


class Model:
    """What a table of channels has to say, told in the plainest way."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.declared: list[str] = []
        self.used: dict[str, str] = {}
        self.closed: set[str] = set()

    def covering(self, name: str) -> str | None:
        """Return the declaration that a name goes by."""
        families = [one for one in self.declared if is_pattern(one) and matches(one, name)]
        return name if name in self.declared else families[0] if families else None

    @property
    def full(self) -> bool:
        """Whether no channel can be used that is not declared for itself."""
        return sum(name not in self.declared for name in self.used) >= self.most

    def publish(self, name: str) -> type[Exception] | None:
        """Publish on it; return the error."""
        if name in self.closed:
            return ChannelClosed
        if name in self.used:
            return None
        covering = self.covering(name)
        if covering is None:
            return ChannelNotConfigured
        if name != covering and self.full:
            return LimitExceeded
        self.used[name] = covering
        return None

    def create(self, name: str) -> type[Exception] | None:
        """Declare it; return the error."""
        if name in self.declared or (name in self.used and name not in self.closed):
            return ChannelExists
        self.declared.append(name)
        for one in list(self.closed):
            if matches(name, one):
                self.closed.discard(one)
                self.used[one] = self.covering(one) or ""
        return None

    def close(self, name: str) -> type[Exception] | None:
        """Take it back; return the error."""
        if name not in self.declared:
            return ChannelNotConfigured
        if not is_pattern(name):
            if self.full:
                return LimitExceeded
            self.used[name] = name
        self.declared.remove(name)
        self.closed |= {one for one, by in self.used.items() if by == name and one not in self.closed}
        return None


@given(st.lists(st.tuples(st.sampled_from(["create", "close", "publish"]), st.sampled_from(NAMES)), max_size=40))
@settings(deadline=None)
def test_ch2_a_table_says_what_there_is(steps: list[tuple[str, str]]) -> None:
    """After any declarations, closings and publishes: which channel is open, which is closed, and how many may be."""
    table, model = ChannelTable([], 3), Model(3)
    for step, name in steps:
        if step == "publish" and is_pattern(name):
            continue
        try:
            if step == "publish":
                table.check_open(name)
                table.channel(name)
            elif step == "create":
                table.declare(ChannelSettings(name))
            else:
                table.close(name)
            found = None
        except (ChannelClosed, ChannelExists, ChannelNotConfigured, LimitExceeded) as error:
            found = type(error)
        assert found is getattr(model, step)(name), f"{step} {name}"
        assert {one.name for one in table.declared.all()} == set(model.declared)
        assert {one for one, channel in table.channels.items() if channel.closed} == model.closed
        assert {one: channel.settings.name for one, channel in table.channels.items()} == model.used
