"""Channels by name: which configuration covers what, and who subscribes to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster import NodeId, Pid
from liminal_mesh.node.channel import Channel, ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.errors import ChannelNotConfigured, LimitExceeded
from liminal_mesh.node.inbox import Inbox
from liminal_mesh.node.names import matches
from liminal_mesh.node.subscribers import Subscriber
from liminal_mesh.node.values import Gap

ORIGIN = NodeId("b", 1)


class Nobody:
    """A listener that counts."""

    def __init__(self) -> None:
        self.calls = 0

    def ready(self) -> None:
        """Count it."""
        self.calls += 1

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """Not looked at."""


def subscriber(pattern: str, number: int = 1, overflow: str = "drop-oldest") -> Subscriber:
    """Return a subscriber that is not subscribed yet."""
    inbox = Inbox(4, 4, 1 << 20, overflow)  # type: ignore[arg-type]
    return Subscriber(Pid("a", 1, number), pattern, inbox, Nobody())


def table(*names: str, most: int = 100) -> ChannelTable:
    """Return a table of channels with these names."""
    return ChannelTable([ChannelSettings(name) for name in names], most)


def unheard(channel: Channel, subscriber: Subscriber, error: Exception) -> None:
    """Nothing crashes here."""
    raise AssertionError(f"{subscriber.pid} on {channel.name}") from error


def test_an_exact_name_stands_before_a_family() -> None:
    """And the first family that covers it before the next."""
    channels = table("m.*", "m.a", "m.>")

    assert channels.settings("m.a").name == "m.a"
    assert channels.settings("m.b").name == "m.*"
    assert channels.settings("m.b.c").name == "m.>"
    assert channels.channel("m.b").settings.name == "m.*"
    assert channels.channel("m.b") is channels.channel("m.b")


def test_a_pattern_takes_the_settings_of_its_family() -> None:
    """Or of the one that covers it, or the defaults."""
    channels = ChannelTable([ChannelSettings("m.>", 7), ChannelSettings("m.*", 8)], 100)

    assert channels.settings("m.*").messages == 8
    assert channels.settings("m.a.*").messages == 7
    assert channels.settings("x.*") == ChannelSettings("")


def test_what_nothing_covers_names_the_nearest() -> None:
    """If there is one."""
    channels = table("orders", "ticks", "m.*")
    with pytest.raises(ChannelNotConfigured, match="'orders'"):
        channels.channel("order")
    with pytest.raises(ChannelNotConfigured, match="declare it"):
        channels.channel("zzzzzzzz")

    assert not channels.channels


@pytest.mark.parametrize("name", ["m.*", "m.", "m.b c", ">", ""])
def test_what_is_no_name_is_no_channel(name: str) -> None:
    """A family does not cover it."""
    with pytest.raises(ValueError):
        table(">", "m.*").channel(name)


def test_channels_in_use_have_a_limit() -> None:
    """Those in use are not concerned."""
    channels = table("m.*", most=2)
    first = channels.channel("m.a")
    channels.channel("m.b")
    with pytest.raises(LimitExceeded) as error:
        channels.channel("m.c")

    assert (error.value.name, error.value.limit) == ("channels", 2)
    assert channels.channel("m.a") is first


def test_a_remote_publish_makes_a_channel_only_for_a_subscriber() -> None:
    """Which need not be configured here."""
    channels = table("ticks")
    assert channels.wanted("ticks") is None
    assert channels.wanted("elsewhere.x") is None
    channels.subscribe(subscriber("elsewhere.*"), 0)
    channel = channels.wanted("elsewhere.x")

    assert channel is not None
    assert channel.settings == ChannelSettings("")
    assert channels.wanted("elsewhere.x") is channel
    assert channels.wanted("ticks") is None


def test_a_group_is_the_subscribers_of_one_pattern() -> None:
    """It begins with the first and ends with the last."""
    channels = table("ticks")
    one, two = subscriber("ticks", 1), subscriber("ticks", 2)
    group = channels.subscribe(one, 5)
    assert channels.subscribe(two, 9) is group
    assert (group.joined_at, list(group.subscribers.values())) == (5, [one, two])
    channels.unsubscribe(one)
    channels.unsubscribe(one)
    assert channels.groups == {"ticks": group}
    channels.unsubscribe(two)

    assert channels.groups == {}


PATTERNS = st.sampled_from(["a", "a.b", "a.*", "*.b", ">", "a.>", "*", "a.b.c"])


@given(st.lists(st.tuples(st.booleans(), PATTERNS, st.integers(0, 2)), max_size=30))
@settings(deadline=None)
def test_a_channel_knows_its_subscribers(steps: list[tuple[bool, str, int]]) -> None:
    """Each whose pattern covers it, as often as it subscribed, whatever came and went."""
    channels = table(">")
    names = ["a", "a.b", "a.b.c", "x", "x.b"]
    all_ = {(pattern, number): subscriber(pattern, number) for _, pattern, number in steps}
    subscribed: dict[tuple[str, int], Subscriber] = {}
    for joins, pattern, number in steps:
        one = all_[pattern, number]
        if joins and (pattern, number) not in subscribed:
            channels.subscribe(one, 0)
            subscribed[pattern, number] = one
        elif not joins:
            channels.unsubscribe(one)
            subscribed.pop((pattern, number), None)
        for name in names:
            channel = channels.channel(name)
            channels.refresh(channel)
            expected = {one.pid: one for one in subscribed.values() if matches(one.pattern, name)}
            assert {id(one) for one in channel.subscribers} == {
                id(one) for one in subscribed.values() if matches(one.pattern, name)
            }
            assert len(channel.subscribers) == len(set(map(id, channel.subscribers)))
            assert {group.pattern for group in channel.groups} == {one.pattern for one in expected.values()} | {
                one.pattern for one in subscribed.values() if matches(one.pattern, name)
            }


@pytest.mark.parametrize("pattern", ["m.*", "m.a", ">"])
def test_channels_in_use_are_found_by_a_pattern(pattern: str) -> None:
    """Those in use alone."""
    channels = table(">")
    for name in ("m.a", "m.b", "x"):
        channels.channel(name)

    found = {channel.name for channel in channels.matching(pattern)}
    assert found == {name for name in ("m.a", "m.b", "x") if matches(pattern, name)}
    assert not list(channels.matching("not.in.use"))


def test_those_that_may_reject_are_known() -> None:
    """They are asked before anything is sent."""
    channels = table("ticks")
    one, two = subscriber("ticks", 1), subscriber("ticks", 2, "reject")
    for each in (one, two):
        channels.subscribe(each, 0)
    channel = channels.channel("ticks")
    channels.refresh(channel)

    assert channel.subscribers == (one, two)
    assert channel.rejecting == (two,)


def test_what_is_passed_over_is_told_to_who_was_anchored() -> None:
    """Once; who was not anchored could not expect it."""
    channels = table(">")
    expecting, other = subscriber("ticks"), subscriber(">")
    channels.subscribe(expecting, 0).anchored.add(ORIGIN)
    channels.subscribe(other, 0)
    channel = channels.channel("ticks")
    channels.refresh(channel)
    channel.pass_over(ORIGIN, 3, "link", unheard)
    channel.pass_over(ORIGIN, 3, "link", unheard)
    channel.pass_over(ORIGIN, 2, "link", unheard)
    channel.pass_over(ORIGIN, 5, "link", unheard)

    gap = expecting.inbox.take(1)
    assert isinstance(gap, Gap)
    assert (gap.channel, gap.origin, gap.first, gap.last, gap.count, gap.reason) == ("ticks", "b", 1, 5, 5, "link")
    assert expecting.inbox.take(1) is None
    assert other.inbox.take(1) is None
    assert channel.heads == {ORIGIN: 5}


def test_channels_of_thousands_of_patterns_that_are_left_at_once_go_together() -> None:
    """At the end of the turn, when a client has gone; those that somebody waits for stay."""
    channels, later = table(), list[Callable[[], None]]()
    channels.later = later.append
    some = [subscriber(f"m.*.{number}", number) for number in range(20)] + [subscriber("m.1.>", 20)]
    for one in some:
        channels.subscribe(one, 1)
    for number in range(20):
        assert channels.wanted(f"m.1.{number}") is not None
        assert channels.wanted(f"m.2.{number}") is not None
    for one in some[:20]:
        channels.unsubscribe(one)
    assert len(channels.channels) == 40
    (tidy,) = later
    tidy()
    assert set(channels.channels) == {f"m.1.{number}" for number in range(20)}


def test_a_channel_that_nobody_waits_for_any_more_keeps_no_other_out() -> None:
    """Even before the end of the turn in which it was left."""
    channels = table("m.>", most=1)
    channels.later = lambda _: None
    one = subscriber("x.*")
    channels.subscribe(one, 1)
    assert channels.wanted("x.y") is not None
    channels.unsubscribe(one)
    assert channels.channel("m.a").name == "m.a"
    assert set(channels.channels) == {"m.a"}
