"""Histories that look odd and are well: the checker accepts them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .check import check
from .events import Fault
from .history import History
from .reader import BadHistory, read_files, read_lines
from .recorder import Recorder
from .story import Story

GOOD: dict[str, Callable[[Story], None]] = {}


def good(tell: Callable[[Story], None]) -> Callable[[Story], None]:
    """Collect a history."""
    GOOD[tell.__name__] = tell
    return tell


@good
def everything_arrives_on_both_nodes(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    here, there = a.subscribe(wait="cluster"), b.subscribe("*", wait="cluster")
    messages = [a.publish() for _ in range(3)]
    b.arrive(a, *messages)
    here.got(*messages)
    there.got(*messages)
    here.settle()
    there.settle()
    a.end()


@good
def a_group_shares_and_what_was_passed_on_comes_late(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one, other = b.subscribe(group="g", wait="cluster"), b.subscribe("*", group="g", wait="cluster")
    second, plain = a.subscribe(group="h"), a.subscribe()
    messages = [a.publish() for _ in range(5)]
    b.arrive(a, *messages)
    b.arrive(a, *messages, group="g")
    one.got(messages[2], messages[0])
    other.gap(messages[4])
    other.got(messages[1])
    second.got(*messages)
    plain.got(*messages)
    for subscription in (one, other, second, plain):
        subscription.settle()
    a.end()


@good
def a_restarted_node_takes_the_place_of_its_former_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(b, up=False)
    a.see(b, "suspect")
    a.see(b, "dead")
    again = story.node("b", 2)
    story.meet(a, again)
    story.rest()
    a.end()
    again.end()


@good
def a_stopped_node_was_dead_and_refutes(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "suspect")
    a.see(b, "dead")
    a.link(b, up=False)
    a.see(b, incarnation=1)
    b.link(a, up=False)
    story.linked(a, b)
    story.rest()


@good
def who_has_left_or_died_may_be_held_for_that_or_be_forgotten(story: Story) -> None:
    a, b, c, d = (story.node(name) for name in "abcd")
    story.meet(a, b, c, d)
    c.end()
    d.kill()
    for node in (a, b):
        for gone in (c, d):
            node.link(gone, up=False)
        node.see(c, "left")
        node.see(d, "dead")
    b.see(d, "")
    story.rest()


@good
def a_partition_has_two_views_and_none_of_them_counts(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    for node, peer in ((a, b), (b, a)):
        node.link(peer, up=False)
        node.see(peer, "dead")
    for node, peer in ((a, b), (b, a)):
        node.see(peer, incarnation=1)
        node.link(peer)
    story.rest()


@good
def an_unknown_publish_appears(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish("info"), a.publish())
    one.settle()


@good
def an_unknown_publish_never_appears(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    a.publish("info", numbered=False)
    one.got(a.publish())
    one.settle()


@good
def a_refused_publish_never_appears(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    a.publish("fail", numbered=False)
    one.got(a.publish())
    one.settle()


@good
def a_gap_covers_what_is_missing_in_the_middle_and_at_the_end(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(6)]
    one.got(m[0])
    one.gap(m[1], m[2])
    one.got(m[3])
    one.gap(m[4], m[5])
    one.settle()


@good
def two_gaps_of_different_causes_overlap_and_their_counts_are_right(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(5)]
    one.gap(m[0], m[3], last=4)
    one.gap(m[1], m[2])
    one.got(m[4])
    one.settle()


@good
def a_reconnected_subscription_is_told_what_it_missed_and_gets_the_rest_from_another_node(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = a.subscribe(wait="cluster")
    m = [b.publish() for _ in range(5)]
    one.got(m[0])
    a.kill()
    one.gap(m[1], m[2])
    one.got(m[3], m[4], node="b")
    one.settle()


@good
def what_was_published_while_the_subscription_was_opened_may_be_missing(story: Story) -> None:
    a = story.node("a")
    a.begin()
    one = a.subscribe()
    a.finish()
    one.got(a.publish())
    one.settle()


@good
def without_a_barrier_another_nodes_messages_may_be_missing(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe()
    m = [a.publish() for _ in range(3)]
    one.got(m[1])
    one.settle()


@good
def a_node_that_was_not_linked_at_the_barrier_owes_nothing(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    one = b.subscribe(wait="cluster")
    story.linked(a, b)
    a.publish()
    one.got(a.publish())
    one.settle()


@good
def what_was_lost_on_a_link_just_before_a_subscription_is_told_to_it_too(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    m = [a.publish() for _ in range(3)]
    one, other = b.subscribe(wait="cluster"), b.subscribe(wait="cluster")
    one.gap(m[1], m[2])
    other.gap(m[1], m[2])
    one.got(a.publish())
    one.settle()


@good
def another_nodes_messages_come_and_go_missing_until_the_barrier_returns(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    stands = story.events.pop()
    m = [a.publish() for _ in range(3)]
    story.add(stands)
    one.got(m[0], a.publish())
    one.settle()


@good
def what_was_in_flight_when_the_origin_was_killed_is_excused(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    one.got(a.publish())
    a.publish()
    a.kill()
    one.settle()


@good
def what_was_in_flight_when_the_subscription_ended_is_excused(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    one.got(a.publish())
    a.publish()
    one.leave()


@good
def another_subscription_gets_the_same_message(story: Story) -> None:
    a = story.node("a")
    one, other = a.subscribe(), a.subscribe("*")
    message = a.publish()
    one.got(message)
    other.got(message)


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


@good
def a_queued_message_of_a_killed_node_reaches_a_subscription_that_was_there(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe()
    message = a.publish()
    a.kill()
    one.got(message)


@good
def an_operation_is_open_in_a_process_that_was_killed(story: Story) -> None:
    a = story.node("a")
    a.begin()
    a.kill()


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


@good
def a_busy_node_uses_much_and_gives_it_back(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use(resident=50, descriptors=1000, tasks=1000, queues=1000, waiting=1000)
    a.use("after", resident=50, descriptors=5, tasks=-5, queues=5, waiting=5)


@good
def a_node_that_was_killed_gave_nothing_back_and_its_successor_is_another_process(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use(descriptors=1000, tasks=1000)
    a.kill()
    again = story.node("a", 2)
    again.use("before", resident=300)
    again.use("after", resident=340)


@good
def a_client_without_caps_may_hold_what_it_likes(story: Story) -> None:
    a = story.node("a")
    a.use("before", caps=-50)
    a.use(resident=5000)


@pytest.mark.parametrize("tell", GOOD.values(), ids=GOOD)
def test_a_good_history_is_accepted(tell: Callable[[Story], None]) -> None:
    """Nothing is reported of what the promises allow."""
    story = Story()
    tell(story)
    report = check(story.history)
    assert not report.violations, str(report)


def test_unknown_publishes_that_appear_are_counted_as_recovered() -> None:
    """And those that do not are not counted as lost."""
    story = Story()
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish("info"))
    a.publish("info", numbered=False)
    report = check(story.history)
    assert (report.attempted, report.acknowledged, report.recovered, report.count("lost")) == (2, 0, 1, 0)


def test_a_torn_last_line_is_accepted_and_a_torn_one_before_it_is_not(tmp_path: Path) -> None:
    """A kill tears the end of a file; anything else means that the record cannot be trusted."""
    with Recorder(tmp_path, "a.1") as recorder:
        for number in range(3):
            recorder.write(Fault(t_mono_ns=recorder.now(), proc="a.1", what=str(number)))
    whole = recorder.path.read_bytes()
    recorder.path.write_bytes(whole[:-5])
    assert [event.what for event in read_files([recorder.path]) if isinstance(event, Fault)] == ["0", "1"]

    lines = whole.split(b"\n")
    with pytest.raises(BadHistory, match="2"):
        read_lines(b"\n".join([lines[0], lines[1][:-5], lines[2], b""]))
    with pytest.raises(BadHistory, match="backwards"):
        read_lines(b"\n".join([lines[1], lines[0], b""]))


def test_files_are_merged_by_time(tmp_path: Path) -> None:
    """Processes of one machine share the clock."""
    with Recorder(tmp_path, "a.1") as a, Recorder(tmp_path, "b.1") as b:
        for number in range(6):
            recorder = (a, b)[number % 2]
            recorder.write(Fault(t_mono_ns=recorder.now(), proc=recorder.proc, what=str(number)))
    events = read_files([a.path, b.path])
    assert [event.what for event in events if isinstance(event, Fault)] == list("012345")


def test_an_operation_ends_once_and_after_it_began() -> None:
    """A record that says otherwise proves nothing about the bus."""
    story = Story()
    a = story.node("a")
    a.publish()
    with pytest.raises(BadHistory):
        History([*story.events, story.events[-1]])
    with pytest.raises(BadHistory):
        History([one for one in story.events if one.type != "invoke"])
