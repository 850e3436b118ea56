"""What a subscription is handed: E1, E2, E5."""

from __future__ import annotations

from msgspec.structs import replace

from ..story import Story
from ..telling import bad, good


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
        replace(delivery, t_mono_ns=begin.t_mono_ns - 500),
        begin,
        end,
    ]


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
def another_subscription_gets_the_same_message(story: Story) -> None:
    a = story.node("a")
    one, other = a.subscribe(), a.subscribe("*")
    message = a.publish()
    one.got(message)
    other.got(message)


@good
def a_queued_message_of_a_killed_node_reaches_a_subscription_that_was_there(story: Story) -> None:
    a, b = story.node("a"), story.node("b")
    story.linked(a, b)
    one = b.subscribe()
    message = a.publish()
    a.kill()
    one.got(message)
