"""Operations end: Q1."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("Q1", "stuck")
def an_attempt_never_returned(story: Story) -> None:
    a = story.node("a")
    a.attempt(ended=False)
    a.end()


@bad("Q1", "stuck")
def a_publish_never_returned(story: Story) -> None:
    a = story.node("a")
    a.begin()
    a.end()


@bad("Q1", "stuck")
def a_subscribe_never_returned(story: Story) -> None:
    a = story.node("a")
    a.subscribe()
    story.events.pop()
    a.end()


@bad("Q1", "stuck")
def a_subscription_never_got_the_last_message_of_another_node(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe()
    a.publish()
    one.settle("info")


@good
def an_operation_is_open_in_a_process_that_was_killed(story: Story) -> None:
    a = story.node("a")
    a.begin()
    a.kill()
