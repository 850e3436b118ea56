"""Groups of subscriptions: E6."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("E6", "duplicated")
def two_members_at_two_nodes_got_it(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    message = a.publish()
    for node in (a, b):
        node.subscribe(group="g").got(message)


@bad("E6", "duplicated")
def two_members_at_one_node_got_it_for_two_patterns(story: Story) -> None:
    a = story.node("a")
    one, other = a.subscribe(group="g"), a.subscribe("*", group="g")
    message = a.publish()
    one.got(message)
    other.got(message)


@bad("E6", "phantom")
def a_member_got_what_it_does_not_cover(story: Story) -> None:
    a = story.node("a")
    a.subscribe("d", group="g").got(a.publish())


@bad("E6", "duplicated")
def it_was_offered_again_when_a_member_had_left(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    former, later = b.subscribe(group="g"), a.subscribe(group="g")
    first, second = a.publish(), a.publish()
    former.got(first)
    former.leave()
    later.got(second, first)


@good
def a_group_shares_and_what_was_passed_on_comes_late(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one, other = b.subscribe(group="g", wait="cluster"), b.subscribe("*", group="g", wait="cluster")
    second, plain = a.subscribe(group="h"), a.subscribe()
    messages = [a.publish() for _ in range(5)]
    b.arrive(a, *messages)
    b.arrive(a, *messages, group="g", spare=True)
    b.arrive(a, *messages, group="g")
    one.got(messages[2], messages[0])
    other.gap(messages[4])
    other.got(messages[1])
    second.got(*messages)
    plain.got(*messages)
    for subscription in (one, other, second, plain):
        subscription.settle()
    a.end()
