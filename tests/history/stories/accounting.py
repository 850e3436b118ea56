"""Delivered and told are what was published: E4, F2."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


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
