"""Consumers that are full: R1, R2, R3."""

from __future__ import annotations

from typing import Any

from ..story import Story, StoryNode
from ..telling import bad, good


def _told(decision: str, in_flight: int, credit: int, buffered: int, room: int) -> dict[str, Any]:
    """Return what the end of a publish says of its node's consumers."""
    return {"pressure": (decision, in_flight, credit, buffered, room)}


def _refused(node: StoryNode, error: str, priority: int | None = None) -> None:
    """Refuse a publish."""
    node.publish("fail", numbered=False, priority=priority, told={"error": f"Rejected: rejected: {error}"})


# --- R1: decisions ---


@bad("R1", "phantom")
def it_is_accepted_and_no_credit_is_left(story: Story) -> None:
    story.node("a").publish(told=_told("accept", 4, 4, 3, 20))


@bad("R1", "phantom")
def it_is_deferred_and_there_is_credit(story: Story) -> None:
    story.node("a").publish(told=_told("defer", 3, 4, 0, 20))


@bad("R1", "phantom")
def it_is_deferred_and_there_is_no_room(story: Story) -> None:
    story.node("a").publish(told=_told("defer", 4, 4, 20, 20))


@bad("R1", "phantom")
def a_counter_is_below_zero(story: Story) -> None:
    story.node("a").publish(told=_told("accept", -1, 4, 0, 20))


@bad("R1", "phantom")
def more_is_buffered_than_may_be(story: Story) -> None:
    story.node("a").publish(told=_told("reject", 4, 4, 21, 20))


@bad("R1", "phantom")
def a_consumer_that_refuses_had_no_room_and_it_was_accepted(story: Story) -> None:
    a = story.node("a")
    a.policy("reject")
    a.publish(told=_told("reject", 4, 4, 20, 20))


# --- R2: refusals ---


@bad("R2", "lost")
def it_is_refused_where_the_oldest_should_have_gone(story: Story) -> None:
    a = story.node("a")
    a.policy("drop-oldest")
    _refused(a, "a consumer has no room")


@bad("R2", "lost")
def what_is_important_enough_is_shed(story: Story) -> None:
    a = story.node("a")
    a.policy("reject", 5)
    _refused(a, "channel 'c' sheds what has a priority below 5", priority=5)


@bad("R2", "lost")
def what_says_nothing_of_its_priority_is_shed(story: Story) -> None:
    a = story.node("a")
    a.policy("drop-oldest", 5)
    _refused(a, "channel 'c' sheds what has a priority below 5")


@bad("R2", "lost")
def a_channel_sheds_by_a_bound_that_it_does_not_have(story: Story) -> None:
    a = story.node("a")
    a.policy("drop-oldest", 3, 5)
    _refused(a, "channel 'c' sheds what has a priority below 8", priority=7)


@bad("E1", "phantom")
def what_was_shed_is_delivered_to_another_consumer(story: Story) -> None:
    a = story.node("a")
    a.policy("drop-oldest", 5)
    error = "Rejected: rejected: channel 'c' sheds what has a priority below 5"
    a.subscribe().got(a.publish("fail", priority=1, told={"error": error}))


# --- R3: receipts ---


@bad("R3", "phantom")
def what_was_dropped_at_a_node_is_handed_out_there(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe()
    one.got(a.publish(told={"nodes": {"b": "dropped"}}))


@bad("R3", "phantom")
def what_was_lost_on_the_way_to_a_node_came_there(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    message = a.publish(told={"nodes": {"b": "lost", "c": "delivered"}})
    for node in (b, c):
        node.subscribe().got(message)


@good
def consumers_are_full_and_say_so(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    a.policy("reject", 5)
    b.policy("drop-newest")
    one, there = a.subscribe(), b.subscribe(wait="cluster")
    first = a.publish(told=_told("accept", 0, 1, 0, 1) | {"nodes": {"b": "delivered"}})
    second = a.publish(told=_told("defer", 1, 1, 0, 1) | {"nodes": {"b": "dropped"}})
    _refused(a, "a consumer has no room")
    _refused(a, "channel 'c' sheds what has a priority below 5", priority=4)
    third = b.publish(told=_told("reject", 1, 1, 1, 1))
    there.got(first)
    there.gap(second)
    there.gap(third)
    one.got(first, second)
    one.gap(third)
    one.settle()
    there.settle()


@good
def a_consumer_that_has_overflowed_takes_no_more_while_it_is_read_to_its_end(story: Story) -> None:
    a = story.node("a")
    a.policy("disconnect")
    a.publish(told=_told("reject", 4, 4, 13, 20))


@good
def a_node_whose_members_drop_it_has_others_who_take_it(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    b.subscribe(group="g")
    b.subscribe().got(a.publish(told={"nodes": {"b": "dropped"}}))


@good
def nobody_is_there_and_all_is_accepted(story: Story) -> None:
    story.node("a").publish(told=_told("accept", 0, 0, 0, 0))


@good
def a_client_got_it_from_another_node_than_the_one_that_dropped_it(story: Story) -> None:
    a, _ = story.node("a"), story.node("b")
    story.client("client")
    one = a.subscribe(proc="client")
    one.got(a.publish(told={"nodes": {"b": "dropped"}}), node="b")
