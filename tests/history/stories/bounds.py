"""What processes use: K1, K2."""

from __future__ import annotations

from ..story import Story
from ..telling import bad, good


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
