"""In which order it is handed that: E3, O1."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("E3", "reordered")
def two_publishes_of_a_session_were_numbered_the_wrong_way_round(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    first, second = a.publish(), a.publish()
    one.got(second, sequence=1)
    one.got(first, sequence=2)


@bad("E3", "reordered")
def one_publish_of_a_session_came_late(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish(client="x") for _ in range(4)]
    for sequence, message in enumerate((m[0], m[2], m[3], m[1]), 1):
        one.got(message, sequence=sequence)
    one.settle()


@bad("O1", "reordered")
def two_sessions_messages_come_against_their_numbers(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    first, second = a.publish(client="x"), a.publish(client="y")
    one.got(second, first)


@bad("O1", "reordered")
def a_number_is_used_twice(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    first, second = a.publish(client="x"), a.publish(client="y")
    one.got(first)
    one.got(second, sequence=1)


@good
def messages_of_two_sessions_overtake_each_other(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    a.begin(client="x")
    other = a.publish(client="y")
    one.got(other, a.finish(client="x"))
    one.settle()


@good
def a_restarted_node_counts_from_one(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    one.got(a.publish(client="x"), a.publish(client="x"))
    a.kill()
    one.got(story.node("a", 2).publish(client="z"))
