"""Publishes with keys: I2, I3."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("I2", "duplicated")
def two_attempts_at_one_node_both_deliver(story: Story) -> None:
    a = story.node("a")
    a.attempt()
    a.attempt()


@bad("I2", "duplicated")
def a_duplicate_is_told_of_another_message(story: Story) -> None:
    a = story.node("a")
    first = a.attempt()
    other = a.attempt(n=2)
    a.attempt(original=first)
    a.attempt(original=other)


@bad("I2", "phantom")
def a_duplicate_of_nothing(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    a.attempt("fail")
    b.attempt(original=a.attempt(n=2))


@bad("I3", "duplicated")
def a_key_that_two_nodes_took_is_handed_out_twice(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    c.subscribe("k").got(a.attempt(), b.attempt())


@bad("I3", "duplicated")
def a_retry_of_what_arrived_after_all_is_handed_out_too(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    b.subscribe("k").got(a.attempt("info"), a.attempt())


@bad("E2", "duplicated")
def a_message_with_a_key_is_handed_out_twice(story: Story) -> None:
    a = story.node("a")
    message = a.attempt()
    a.subscribe("k").got(message, message)


@bad("E1", "phantom")
def a_key_is_delivered_whose_every_attempt_was_refused(story: Story) -> None:
    a = story.node("a")
    a.subscribe("k").got(a.attempt("fail"))


@good
def a_key_is_tried_until_it_is_known_and_handed_out_once(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe("k", wait="cluster")
    a.attempt(delivered=False)
    message = a.attempt("info")
    b.arrive(a, message)
    one.got(message)
    retry = a.attempt(original=message)
    b.arrive(a, retry)
    a.attempt("fail")
    b.attempt(original=message)
    one.settle()


@good
def two_nodes_take_a_key_in_the_same_moment_each_for_its_own(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one, other = a.subscribe("k"), b.subscribe("k")
    one.got(a.attempt())
    other.got(b.attempt())


@good
def a_subscription_that_moved_is_new_to_the_node_that_it_moved_to(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = a.subscribe("k")
    one.got(a.attempt())
    one.got(b.attempt(), node="b")
