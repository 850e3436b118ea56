"""Histories with one thing wrong in each: the checker finds it, and blames the right promise alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from .__main__ import main
from .check import check
from .invariants import INVARIANTS
from .story import Story
from .violation import Kind

Tell = Callable[[Story], None]
BAD: list[tuple[str, Kind, Tell]] = []


def bad(invariant: str, kind: Kind) -> Callable[[Tell], Tell]:
    """Collect a history that breaks an invariant."""

    def collect(tell: Tell) -> Tell:
        BAD.append((invariant, kind, tell))
        return tell

    return collect


# --- E1: nothing is delivered that was not published ---


@bad("E1", "phantom")
def a_message_from_nowhere(story: Story) -> None:
    a = story.node("a")
    a.subscribe().got(a.publish(), client="nobody")


@bad("E1", "phantom")
def a_message_with_another_content(story: Story) -> None:
    a = story.node("a")
    a.subscribe().got(a.publish(), hash="0" * 24)


@bad("E1", "phantom")
def a_message_with_the_nonce_of_another(story: Story) -> None:
    a = story.node("a")
    a.subscribe().got(a.publish(), nonce="cd")


@bad("E1", "phantom")
def a_message_on_another_channel(story: Story) -> None:
    a = story.node("a")
    a.subscribe("*").got(a.publish(channel="d"), channel="e")


@bad("E1", "phantom")
def a_message_that_was_refused(story: Story) -> None:
    a = story.node("a")
    a.subscribe().got(a.publish("fail"))


@bad("E1", "phantom")
def a_message_before_its_publish(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish())
    begin, end, delivery = story.events[-3:]
    story.events[-3:] = [
        msgspec.structs.replace(delivery, t_mono_ns=begin.t_mono_ns - 500),
        begin,
        end,
    ]


# --- E2: at most once ---


@bad("E2", "duplicated")
def a_message_twice(story: Story) -> None:
    a = story.node("a")
    message = a.publish()
    a.subscribe().got(message, message)


@bad("E2", "duplicated")
def a_message_again_after_others(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(3)]
    one.got(*m, m[0])


@bad("E2", "duplicated")
def a_message_again_under_a_new_number(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    message = a.publish()
    one.got(message)
    one.got(message, sequence=2, message=99)


# --- E3: the order of a session ---


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


# --- E4: delivered and told are what was published at the same node ---


@bad("E4", "lost")
def a_message_is_missing_in_the_middle(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(3)]
    one.got(m[0], m[2])


@bad("E4", "lost")
def the_last_message_is_missing_and_all_was_quiet(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish())
    a.publish()
    one.settle()


@bad("E4", "lost")
def the_first_message_is_missing(story: Story) -> None:
    a = story.node("a")
    a.publish()
    one = a.subscribe()
    m = [a.publish() for _ in range(2)]
    one.got(m[1])


@bad("E4", "lost")
def a_subscription_gets_nothing_at_all(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe(">")
    a.publish(channel="d.e")
    one.settle()


@bad("E4", "lost")
def an_unsubscribed_one_was_not_handed_what_had_been_accepted(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    one.got(a.publish())
    a.publish()
    one.leave(drained=True)


@bad("E4", "lost")
def a_gap_counts_too_few(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(5)]
    one.got(m[0])
    one.gap(m[1], m[3], count=2)
    one.got(m[4])


@bad("E4", "lost")
def a_gap_at_the_end_counts_too_few(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(4)]
    one.got(m[0])
    one.gap(m[1], m[2])
    one.settle()


@bad("E4", "phantom")
def a_gap_counts_what_was_delivered_too(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(3)]
    one.got(m[0])
    one.gap(m[1])
    one.got(m[1], m[2])


@bad("E4", "phantom")
def a_gap_at_the_end_tells_of_what_was_never_published(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    message = a.publish()
    one.got(message)
    one.gap(message, first=2, last=2)
    one.settle()


@bad("E4", "phantom")
def a_gap_tells_of_what_was_published_before_the_subscription(story: Story) -> None:
    a = story.node("a")
    old = a.publish()
    one = a.subscribe()
    one.gap(old)
    one.got(a.publish())


@bad("E4", "lost")
def a_gap_comes_after_the_next_delivery(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish() for _ in range(3)]
    one.got(m[0], m[2])
    one.gap(m[1])


@bad("E4", "lost")
def a_message_is_missing_though_its_client_published_more(story: Story) -> None:
    a = story.node("a")
    one = a.subscribe()
    m = [a.publish(client="x") for _ in range(3)]
    one.got(m[0], m[2])
    one.settle()


# --- E5: nothing outlives its node ---


@bad("E5", "phantom")
def a_message_of_a_former_run_comes_after_the_restart(story: Story) -> None:
    a = story.node("a")
    old = a.publish(client="x")
    a.kill()
    story.node("a", 2).subscribe().got(old, epoch=2)


@bad("E5", "phantom")
def another_node_still_hands_out_what_a_stopped_node_had_published(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    old = a.publish()
    a.end()
    b.subscribe(wait="cluster").got(old)


# --- O1: sequences grow ---


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


# --- F1: E1 to E3 between nodes ---


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


# --- F2: the barrier ---


@bad("F2", "lost")
def a_publish_after_the_barrier_is_missing(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    a.publish()
    one.settle()


@bad("F2", "lost")
def a_link_was_cut_and_the_hole_is_not_told(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    m = [a.publish() for _ in range(3)]
    one.got(m[0])
    b.link(a, up=False)
    b.link(a)
    one.got(m[2])


@bad("F2", "lost")
def the_first_after_the_barrier_is_missing(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    a.publish()
    one = b.subscribe(wait="cluster")
    m = [a.publish() for _ in range(2)]
    one.got(m[1])


@bad("F2", "lost")
def a_message_of_before_the_barrier_excuses_no_hole_after_it(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    stands = story.events.pop()
    early = a.publish()
    story.add(stands)
    m = [a.publish() for _ in range(2)]
    one.got(early, m[1])


@bad("F2", "lost")
def a_killed_origin_excuses_no_hole_before_its_last_delivery(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    m = [a.publish() for _ in range(3)]
    a.kill()
    one.got(m[0], m[2])


@bad("F2", "phantom")
def a_gap_of_a_link_tells_too_many(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    m = [a.publish() for _ in range(4)]
    one.got(m[0])
    one.gap(m[1], m[2], count=3)
    one.got(m[3])


@bad("F2", "phantom")
def a_gap_tells_of_more_than_the_other_node_ever_published(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe(wait="cluster")
    one.gap(a.publish(), count=2, last=2)
    one.settle()


# --- F3: one copy on one link ---


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
def what_was_for_a_member_was_relayed(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    message = a.publish()
    b.arrive(a, message, group="g")
    c.arrive(b, message, group="g")


# --- E6: one member of a group ---


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


# --- G1: at rest every view is the truth ---


@bad("G1", "lost")
def a_node_has_never_heard_of_another(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    story.linked(a, b, c)
    for node, peer in ((a, b), (a, c), (b, a), (b, c), (c, a)):
        node.see(peer)
    story.rest()


@bad("G1", "lost")
def a_node_still_holds_the_former_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(b, up=False)
    again = story.node("b", 2)
    story.linked(a, again)
    again.see(a)
    story.rest()


@bad("G1", "lost")
def a_suspicion_never_ends(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "suspect")
    story.rest()


@bad("G1", "lost")
def a_living_node_is_forgotten(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "")
    story.rest()


@bad("G1", "phantom")
def a_killed_node_is_alive_for_ever(story: Story) -> None:
    a, b, c = story.node("a"), story.node("b"), story.node("c")
    story.meet(a, b, c)
    c.kill()
    a.see(c, "dead")
    story.rest()


# --- G2: who was purged does not come back ---


@bad("G2", "phantom")
def a_dead_node_returns_without_having_refuted(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead")
    a.see(b)
    story.rest()


@bad("G2", "phantom")
def a_node_that_left_returns_in_the_same_run(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "left")
    a.see(b, incarnation=7)
    story.rest()


@bad("G2", "phantom")
def a_former_run_returns(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    again = story.node("b", 2)
    a.see(again)
    a.see(b, incarnation=1)


@bad("G2", "phantom")
def a_dead_node_that_was_forgotten_returns(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead", 3)
    a.see(b, "")
    a.see(b, "suspect", 3)


# --- G3: at rest no living node is held for dead ---


@bad("G3", "lost")
def a_node_that_was_stopped_is_never_let_back(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "dead")
    story.rest()


@bad("G3", "lost")
def a_living_node_has_left(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.see(b, "left")
    story.rest()


# --- G4: one link for each pair ---


@bad("G4", "duplicated")
def two_that_dialled_each_other_have_two_links(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    a.link(b)


@bad("G4", "duplicated")
def a_new_run_is_linked_before_the_former_one_is_parted_with(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.kill()
    a.link(story.node("b", 2))


@bad("G4", "lost")
def a_link_stands_on_one_side_alone(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.meet(a, b)
    b.link(a, up=False)
    story.rest()


# --- I2: one original for all who ask one node ---


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


# --- I3: a key once for each subscription of a node ---


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


# --- Q1: operations end ---


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


# --- K1: memory stays below its bound ---


@bad("K1", "leaked")
def a_node_once_held_more_than_its_caps_allow(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use(resident=51)
    a.use("after")


@bad("K1", "leaked")
def a_nodes_memory_grew_without_end(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    for number in range(10):
        a.use(resident=20 * number)


@bad("K1", "leaked")
def a_node_still_holds_too_much_when_all_is_over(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    for node in (a, b):
        node.use("before")
    b.use(resident=50)
    a.use("after", resident=60)


# --- K2: what ends gives back what it had ---


@bad("K2", "leaked")
def descriptors_of_connections_that_ended_are_open(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use(descriptors=500)
    a.use("after", descriptors=6)


@bad("K2", "leaked")
def tasks_of_subscriptions_that_ended_run_on(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use("after", tasks=6)
    a.end()


@bad("K2", "leaked")
def inboxes_of_those_that_left_are_there(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use("after", queues=40)


@bad("K2", "leaked")
def messages_wait_for_nobody(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use("after", waiting=7)


@bad("K2", "leaked")
def what_there_was_at_first_is_gone(story: Story) -> None:
    a = story.node("a")
    a.use("before")
    a.use("after", tasks=-6)


@pytest.mark.parametrize(("invariant", "kind", "tell"), BAD, ids=[tell.__name__ for *_, tell in BAD])
def test_a_bad_history_is_rejected_by_its_invariant_alone(invariant: str, kind: Kind, tell: Tell) -> None:
    """The anomaly is found, named, counted, and shown with the operation."""
    story = Story()
    tell(story)
    report = check(story.history)
    assert report.broken() == {invariant}, str(report)
    assert report.count(kind) >= 1
    text = str(report)
    assert f"{invariant} {kind}: " in text
    assert ">> {" in text


def test_every_invariant_has_bad_histories() -> None:
    """An invariant that never rejected anything proves nothing."""
    assert {invariant for invariant, *_ in BAD} == set(INVARIANTS)
    assert len(BAD) >= 25
    assert all(check.__doc__ for check in INVARIANTS.values())


def test_the_command_says_by_its_exit_code_whether_all_held(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for a good run, 1 for a bad one with its report, 2 for what is no history."""
    encode = msgspec.json.Encoder().encode
    for tell, code in ((a_message_twice, 1), (None, 0)):
        story = Story()
        (tell or (lambda story: story.node("a").end()))(story)
        path = tmp_path / f"{code}.jsonl"
        path.write_bytes(b"".join(encode(event) + b"\n" for event in story.events))
        assert main([str(path)]) == code
        assert ("E2 duplicated" in capsys.readouterr().out) == bool(code)
    path.write_bytes(b"nothing\n")
    assert main([str(path)]) == 2
    assert main([]) == 2
