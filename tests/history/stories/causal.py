"""Causal order: O4."""

from __future__ import annotations

from typing import Any

from ..story import Story
from ..telling import bad, good

WAIT: dict[str, Any] = {"causal_s": 0.001}
WAIT_NS = 1_000_000


@bad("O4", "reordered")
def an_answer_comes_before_its_question(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    question = a.publish()
    c.subscribe(**WAIT).got(b.answer(question), question)


@bad("O4", "reordered")
def thanks_come_before_the_answer_though_the_question_was_first(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    one, question = c.subscribe(**WAIT), a.publish()
    answer = b.answer(question)
    one.got(question, a.answer(answer), answer)


@bad("O4", "reordered")
def an_orphan_did_not_wait(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    one = c.subscribe(**WAIT)
    one.got(b.answer(a.publish()), orphaned=True)


@bad("O4", "reordered")
def an_orphan_has_its_parent(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    one, question = c.subscribe(**WAIT), a.publish()
    answer = b.answer(question)
    one.got(question)
    story.wait(WAIT_NS)
    one.got(answer, orphaned=True)


@bad("O4", "reordered")
def an_orphan_waited_for_what_it_would_never_get(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe(**WAIT)
    answer = a.answer(a.publish(channel="d"))
    story.wait(WAIT_NS)
    one.got(answer, orphaned=True)


@bad("O4", "reordered")
def an_orphan_where_nobody_waits(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one, answer = b.subscribe(), a.answer(a.publish())
    story.wait(WAIT_NS)
    one.got(answer, orphaned=True)


@bad("O4", "reordered")
def what_waits_for_nothing_that_will_ever_come_is_no_orphan(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one, question = b.subscribe(**WAIT), a.publish()
    one.got(question)
    one.got(b.publish(parent=("nobody", 1), cause=("c", "a", 1, 99)))


@bad("O4", "phantom")
def a_parent_was_lost_on_the_way(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    question = a.publish()
    b.subscribe().got(question, a.answer(question), cause=None)


@bad("O4", "phantom")
def another_parent_is_named(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one, question = b.subscribe(), a.publish()
    one.got(question)
    one.got(a.answer(question), cause=("c", "b", 1, 7))


@bad("O1", "reordered")
def what_has_no_parent_is_overtaken(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(**WAIT)
    first, second = a.publish(client="x"), a.publish(client="y")
    one.got(second, first)


@bad("E4", "lost")
def what_waited_never_came(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one, question = a.subscribe(**WAIT), b.publish()
    a.answer(question)
    one.got(a.publish())
    one.settle()


@good
def a_child_waits_is_overtaken_and_follows_its_parent(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    story.linked(a, b, c)
    one, plain = c.subscribe(wait="cluster", **WAIT), c.subscribe()
    question = a.publish()
    answer, other, third = b.answer(question), b.publish(), b.publish()
    thanks = b.answer(answer)
    one.got(other)
    one.gap(third)
    one.got(question, answer, thanks)
    plain.got(answer, other, third, thanks, question)
    one.settle()
    plain.settle()


@good
def who_waits_for_a_run_that_is_over_waits_no_more(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe(**WAIT)
    answer = b.publish(parent=("nobody", 1), cause=("c", "a", 1, 99))
    a.kill()
    one.got(story.node("a", 2).publish(client="x"), answer)


@good
def what_waited_when_its_process_was_killed_is_gone(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster", **WAIT)
    first, answer = a.publish(), a.answer(a.publish(channel="d", client="x"))
    one.got(first, a.publish(client="y"))
    b.kill()
    story.rest()
    assert answer


@bad("F2", "lost")
def a_hole_is_not_excused_by_what_waited(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster", **WAIT)
    question, answer = a.publish(), a.answer(a.publish(channel="d", client="x"))
    one.got(answer, a.publish(client="y"))
    b.kill()
    assert question


@good
def an_orphan_has_waited_and_its_child_follows_it(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    one, question = c.subscribe(**WAIT), a.publish()
    answer = b.answer(question)
    thanks = b.answer(answer)
    story.wait(WAIT_NS)
    one.got(answer, orphaned=True)
    one.got(thanks, question)


@good
def a_child_of_what_was_lost_or_is_not_covered_waits_for_nothing(story: Story) -> None:
    a, b, c = (story.node(name) for name in "abc")
    one, question = c.subscribe(**WAIT), a.publish()
    one.gap(question)
    one.got(b.answer(question), b.answer(a.publish(channel="d")))


@good
def what_still_waits_comes_as_orphans_when_the_subscription_ends(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one, answer = a.subscribe(**WAIT), a.answer(b.publish())
    one.leave(drained=False)
    one.got(answer, orphaned=True)
