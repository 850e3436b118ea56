"""Connections that are closed by force: X1, X2."""

from __future__ import annotations

from ..events import Publish
from ..story import Story, StoryNode
from ..telling import bad, good


def _lost(node: StoryNode, error: str, n: int = 1) -> None:
    """Let the outcome of a client's publish be lost."""
    node.story.add(Publish(**node.at, id=n, type="info", client="x", error=f"OutcomeUnknown: {error}"))


# --- X1: nothing comes over it any more ---


@bad("X1", "phantom")
def a_connection_goes_on_after_it_was_closed(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    a.close(7)
    a.closed(7)
    one.got(a.publish(client="x", session=7), publisher=7)


@bad("X1", "phantom")
def what_was_thought_to_come_over_another_connection_came_over_the_closed_one(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe()
    a.close(7)
    a.closed(7)
    message = a.publish("info", client="x", session=8)
    one.got(message, publisher=7)


# --- X2: who waits has its answer, or hears why ---


@bad("X2", "lost")
def an_accepted_publish_was_not_confirmed(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    message = a.publish("info", client="x", session=7, ack="accepted")
    a.close(7)
    _lost(a, "make room")
    a.closed(7)
    one.got(message, publisher=7)


@bad("X2", "lost")
def a_publisher_does_not_hear_why_its_connection_ended(story: Story) -> None:
    a = story.node("a")
    a.publish("info", client="x", session=7, ack="nodes", numbered=False)
    a.close(7)
    _lost(a, "connection reset by peer")
    a.closed(7)


# --- what is well ---


@good
def a_client_is_sent_off_and_comes_back(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    first = a.publish(client="x", session=7, ack="accepted")
    a.begin(client="x", session=7, ack="nodes")
    a.close(7)
    _lost(a, "the outcome is unknown: the node said: make room", 2)
    a.closed(7)
    third = a.publish(client="x", session=7, ack="accepted")
    one.got(first, publisher=7)
    one.got(third, publisher=8)
    one.settle()


@good
def what_was_under_way_when_the_connection_was_closed_may_have_been_accepted(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    a.close(7)
    message = a.publish(client="x", session=7)
    a.closed(7)
    one.got(message, publisher=7)


@good
def a_client_that_was_not_run_reads_no_last_word(story: Story) -> None:
    a = story.node("a")
    a.publish("info", client="x", session=7, ack="nodes", numbered=False)
    a.use("before")
    a.close(7)
    story.wait(1_000_000_000)
    a.use()
    _lost(a, "connection reset by peer")
    a.closed(7)
