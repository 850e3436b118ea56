"""Predicates of subscriptions: E7."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


@bad("E7", "phantom")
def it_got_what_its_predicate_does_not_want(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(where=(3, 1))
    one.got(a.publish(), a.publish())


@bad("E7", "phantom")
def it_got_what_its_predicate_had_refused(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(where=(3, 1))
    first, second = a.publish(), a.publish()
    one.got(first)
    one.refused(second)
    one.got(second)


@bad("E7", "phantom")
def it_got_what_its_predicate_raises_on(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe(where=(2, 1))
    m = [a.publish() for _ in range(3)]
    one.got(*m)


@bad("E7", "lost")
def what_its_predicate_wants_is_taken_for_unwanted(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(where=(3, 1))
    one.refused(a.publish())


@bad("E4", "lost")
def what_its_predicate_wants_is_neither_handed_out_nor_told(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(where=(3, 1))
    m = [a.publish() for _ in range(5)]
    one.got(m[0])
    one.refused(m[1], m[2], m[4])
    one.settle()


@bad("E2", "duplicated")
def its_predicate_is_asked_twice(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(where=(3, 2))
    message = a.publish()
    one.refused(message, message)


@good
def predicates_sift_and_gaps_tell_of_what_they_never_saw(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    here, there, all_ = a.subscribe(where=(3, 1)), b.subscribe(wait="cluster", where=(2, 1)), b.subscribe()
    m = [a.publish() for _ in range(7)]
    here.got(m[0])
    here.refused(m[1], m[2])
    here.got(m[3])
    here.refused(m[4], m[5])
    here.got(m[6])
    there.gap(*m[:5])
    there.refused(m[5])
    there.got(m[6])
    all_.got(*m)
    for one in (here, there, all_):
        one.settle()


@good
def a_member_of_a_group_refuses_its_share(story: Story) -> None:
    a = story.node("a")
    one, other = a.subscribe(group="g", where=(2, 1)), a.subscribe(group="g")
    m = [a.publish() for _ in range(4)]
    one.got(m[0])
    other.got(m[1])
    one.refused(m[3])
    other.got(m[2])
