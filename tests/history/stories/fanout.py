"""What crosses links: F1, F3."""

from __future__ import annotations

from ..story import Story
from ..telling import bad


@bad("F1", "phantom")
def a_content_changed_on_a_link(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    b.subscribe().got(a.publish(), hash="0" * 24)


@bad("F1", "duplicated")
def a_message_came_again_after_a_link_was_made_again(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe()
    m = [a.publish() for _ in range(2)]
    one.got(*m)
    one.got(m[1])


@bad("F1", "duplicated")
def a_reconnected_subscription_got_it_from_both_nodes(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    message = a.publish()
    one.got(message)
    one.got(message, node="b")


@bad("F1", "reordered")
def a_session_was_reordered_on_the_way_to_a_peer(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe()
    first, second = a.publish(), a.publish()
    one.got(second, sequence=1)
    one.got(first, sequence=2)


@bad("F3", "duplicated")
def a_frame_was_sent_twice(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    b.arrive(a, message)
    b.arrive(a, message)


@bad("F3", "duplicated")
def one_frame_holds_a_message_twice(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    b.arrive(a, message, message)


@bad("F3", "duplicated")
def a_third_node_relayed_it(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    message = a.publish()
    b.arrive(a, message)
    c.arrive(b, message)


@bad("F3", "duplicated")
def a_message_came_back_to_its_origin(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    b.arrive(a, message)
    a.arrive(b, message)


@bad("F3", "duplicated")
def a_node_was_asked_twice_for_one_group(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    b.arrive(a, message, group="g")
    b.arrive(a, message, group="h")
    b.arrive(a, message, group="g")


@bad("F3", "duplicated")
def a_node_without_credit_was_asked_for_that_again(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    for _ in range(2):
        b.arrive(a, message, group="g", spare=True)


@bad("F3", "duplicated")
def what_was_for_a_member_was_relayed(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    message = a.publish()
    b.arrive(a, message, group="g")
    c.arrive(b, message, group="g")
