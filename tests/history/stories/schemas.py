"""Channels with a schema: S1, S2, S3."""

from __future__ import annotations

from ..events import Subscribe
from ..story import Story, StoryNode
from ..telling import bad, good

AMOUNT = {"type": "integer"}
UNIT = {"type": "string", "default": "EUR"}
MADE = {"fields": {"amount": 7, "unit": "EUR"}, "version": "one"}


def _node(story: Story, name: str = "a") -> StoryNode:
    """Start a node that has a schema."""
    node = story.node(name)
    node.evolve("one", amount=AMOUNT, unit=UNIT)
    return node


# --- S1: what the schema refuses is refused ---


@bad("S1", "phantom")
def a_wrong_type_is_accepted(story: Story) -> None:
    _node(story).publish(fields={"amount": "7"})


@bad("S1", "phantom")
def what_lacks_a_property_without_default_is_accepted(story: Story) -> None:
    _node(story).publish(fields={"unit": "EUR"})


@bad("S1", "phantom")
def what_is_refused_everywhere_is_delivered_after_its_outcome_was_lost(story: Story) -> None:
    a = _node(story)
    a.subscribe().got(a.publish("info", fields={}), fields={"unit": "EUR"}, version="one")


@bad("S1", "phantom")
def a_version_that_was_forced_is_not_asked(story: Story) -> None:
    a = _node(story)
    a.evolve("two", forced=True, amount={"type": "integer", "minimum": 10})
    a.publish(fields={"amount": 7})


@bad("S1", "lost")
def a_payload_that_the_schema_takes_is_refused_for_it(story: Story) -> None:
    _node(story).publish("fail", numbered=False, fields={"amount": 7}, told={"error": "SchemaRejected: it is not nice"})


@bad("E1", "phantom")
def what_the_schema_refused_is_delivered(story: Story) -> None:
    a = _node(story)
    a.subscribe().got(a.publish("fail", fields={"amount": 7}, told={"error": "Rejected: no room"}), **MADE)


# --- S2: its defaults are those of a version that was in force ---


@bad("S2", "phantom")
def a_default_is_not_put_in(story: Story) -> None:
    a = _node(story)
    a.subscribe().got(a.publish(fields={"amount": 7}), fields={"amount": 7}, version="one")


@bad("S2", "phantom")
def a_default_takes_the_place_of_what_was_published(story: Story) -> None:
    a, b = _node(story), story.node("b")
    b.subscribe().got(a.publish(fields={"amount": 7, "unit": "GBP"}), **MADE)


@bad("S2", "phantom")
def it_names_no_version(story: Story) -> None:
    a = _node(story)
    a.subscribe().got(a.publish(fields={"amount": 7}), fields=MADE["fields"])


@bad("S2", "phantom")
def it_names_a_version_that_was_over(story: Story) -> None:
    a = _node(story)
    a.evolve("two", amount=AMOUNT, unit={"type": "string", "default": "USD"})
    a.subscribe().got(a.publish(fields={"amount": 7}), **MADE)


@bad("S2", "phantom")
def it_names_a_version_that_was_refused(story: Story) -> None:
    a = _node(story)
    a.evolve("two", "fail", amount=AMOUNT, unit={"type": "string", "default": "USD"})
    a.subscribe().got(a.publish(fields={"amount": 7}), fields={"amount": 7, "unit": "USD"}, version="two")


@bad("S2", "phantom")
def it_names_a_version_of_another_node(story: Story) -> None:
    a, b = _node(story), _node(story, "b")
    b.evolve("two", amount=AMOUNT, unit={"type": "string", "default": "USD"})
    b.subscribe().got(a.publish(fields={"amount": 7}), fields={"amount": 7, "unit": "USD"}, version="two")


# --- S3: which version a subscription gets ---


@bad("S3", "phantom")
def a_subscription_gets_a_version_that_it_did_not_name(story: Story) -> None:
    _node(story).subscribe(schemas=["two"], version="one")


@bad("S3", "phantom")
def a_subscription_does_not_get_the_newest(story: Story) -> None:
    a = _node(story)
    a.evolve("two", amount=AMOUNT, unit=UNIT)
    a.subscribe(schemas=["one", "two"], version="one")


@bad("S3", "phantom")
def a_subscription_stands_for_a_version_from_before_a_forced_one(story: Story) -> None:
    a = _node(story)
    a.evolve("two", forced=True, amount={"type": "string"})
    a.subscribe(schemas=["one"], version="one")


@bad("S3", "lost")
def a_subscription_is_refused_though_its_version_is_offered(story: Story) -> None:
    a = _node(story)
    a.subscribe(schemas=["one"])
    story.events.pop()
    story.add(Subscribe(**a.at, id=1, type="fail", error="SchemaIncompatible: none"))


@bad("S3", "phantom")
def a_subscription_outlives_its_versions(story: Story) -> None:
    a = _node(story)
    one = a.subscribe(schemas=["one"], version="one")
    a.evolve("two", forced=True, amount={"type": "string"})
    one.settle()


# --- what is well ---


@good
def a_channel_evolves_and_everyone_gets_what_the_version_of_the_moment_made(story: Story) -> None:
    a, b = _node(story), _node(story, "b")
    story.linked(a, b)
    here, there = a.subscribe(schemas=["one"], version="one"), b.subscribe(wait="cluster", version="one")
    first = a.publish(fields={"amount": 7})
    a.publish("fail", numbered=False, fields={}, told={"error": "SchemaRejected: it lacks an amount"})
    for one in (here, there):
        one.got(first, **MADE)
    a.evolve("three", "fail", amount={"type": "string"})
    a.evolve("two", amount=AMOUNT, unit=UNIT, rush={"type": "boolean", "default": False})
    a.subscribe(schemas=["two", "one"], version="two")
    a.subscribe(schemas=["one"], version="one")
    second = a.publish(fields={"amount": 7, "unit": "GBP"})
    for one in (here, there):
        one.got(second, fields={"amount": 7, "unit": "GBP", "rush": False}, version="two")
    other = b.publish(fields={"amount": 8})
    there.got(other, fields={"amount": 8, "unit": "EUR"}, version="one")
    there.settle()


@good
def during_its_change_either_version_may_be_in_force(story: Story) -> None:
    a = _node(story)
    one, rest = a.subscribe(), ["a", "b"]
    a.begin(client=rest[0], fields={"amount": 7})
    a.begin(client=rest[1], fields={"amount": 70})
    a.evolve("two", forced=True, amount={"type": "integer", "minimum": 10})
    a.finish("fail", client=rest[0], numbered=False, error="SchemaRejected: it is too small")
    one.got(a.finish(client=rest[1]), fields={"amount": 70}, version="two")
    one.settle()


@good
def who_named_a_version_that_is_gone_has_come_to_its_end(story: Story) -> None:
    a = _node(story)
    one, message = a.subscribe(schemas=["one"], version="one"), a.publish(fields={"amount": 7})
    a.evolve("two", forced=True, amount={"type": "string"})
    one.got(message, **MADE)
    one.leave(drained=False)
