"""Channels with a schema: what it refuses reaches nobody, what it completes is complete.

What a version demands is worked out anew here, by a model that knows as much of JSON Schema as the recorded runs use.
Each version is in force from somewhere within its operation on; in the time of a publish that may be several, at
several nodes if nobody knows where it entered: then whatever one of them allows is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..events import Version
from ..history import History
from ..records import Publication, SubscriptionRecord
from ..versions import complete
from ..violation import Violation

__all__ = ["s1", "s2", "s3"]


def s1(history: History) -> Iterator[Violation]:
    """What the schema in force refuses is refused, and delivered to nobody; what it takes is not refused for it."""
    for one in history.publications.values():
        versions = _possible(history, one)
        if one.end is None or not versions:
            continue
        taken = [complete(version.document, one.invoke.fields or {}) is not None for version in versions]
        if one.outcome == "ok" and not any(taken):
            yield Violation("S1", "phantom", one.end, f"accepted, though {_ids(versions)} refuses {one.invoke.fields}")
        elif one.outcome == "fail" and one.end.error.startswith("SchemaRejected") and all(taken):
            yield Violation("S1", "lost", one.end, f"refused, though {_ids(versions)} takes {one.invoke.fields}")
    for subscription in history.subscriptions.values():
        for delivery in subscription.firsts:
            if not delivery.version:
                continue
            published = history.publications.get((delivery.client, delivery.n))
            for version in _named(history, published, delivery.version):
                if published is not None and complete(version.document, published.invoke.fields or {}) is None:
                    text = f"delivered, though {version.version} refuses {published.invoke.fields}"
                    yield Violation("S1", "phantom", delivery, text)


def s2(history: History) -> Iterator[Violation]:
    """What is delivered names a version that was in force where it entered, and has its defaults."""
    for subscription in history.subscriptions.values():
        for delivery in subscription.firsts:
            published = history.publications.get((delivery.client, delivery.n))
            if published is None:
                continue
            found = history.versions.get(((delivery.origin, delivery.origin_epoch), delivery.channel))
            if found is None:
                if delivery.version:
                    yield Violation("S2", "phantom", delivery, f"it names {delivery.version}, and there is no schema")
                continue
            until = published.end.t_mono_ns if published.outcome == "ok" and published.end else delivery.t_mono_ns
            versions = found.between(published.invoke.t_mono_ns, until)
            named = [one for one in versions if one.version == delivery.version]
            if not named:
                text = f"it names {delivery.version or 'no version'}, where {_ids(versions)} was in force"
                yield Violation("S2", "phantom", delivery, text)
                continue
            whole = complete(named[0].document, published.invoke.fields or {})
            if whole is not None and whole != delivery.fields:
                text = f"{delivery.fields}, where {named[0].version} makes {whole} of {published.invoke.fields}"
                yield Violation("S2", "phantom", delivery, text)


def s3(history: History) -> Iterator[Violation]:
    """Who names versions gets the newest that is offered, is refused if none is, and is told when none is left."""
    for subscription in history.subscriptions.values():
        asked, answered, home = subscription.asked, subscription.answered, subscription.home
        if not asked.schemas or answered is None:
            continue
        node = home or (answered.node, answered.epoch)
        found = history.versions.get((node, asked.pattern))
        if found is None:
            continue
        offers = found.offered(asked.t_mono_ns, answered.t_mono_ns)
        right = {next((one for one in offered if one in asked.schemas), "") for offered in offers}
        if answered.type == "ok" and answered.version not in right:
            text = f"{answered.version or 'nothing'} was selected of {asked.schemas}, where {offers} is offered"
            yield Violation("S3", "phantom", answered, text)
        elif answered.error.startswith("SchemaIncompatible") and "" not in right:
            yield Violation("S3", "lost", answered, f"refused, though of {asked.schemas} {offers} is offered")
        yield from _left(history, subscription)


def _left(history: History, subscription: SubscriptionRecord) -> Iterator[Violation]:
    """Find an embedded subscription that goes on although none of its versions is offered any more."""
    asked, home, settled = subscription.asked, subscription.home, subscription.settled
    if home is None or settled is None or home != history.lifetimes[asked.proc].node:
        return
    offers = history.versions[home, asked.pattern].offered(settled.t_mono_ns, settled.t_mono_ns)
    if not any(set(offered) & set(asked.schemas) for offered in offers):
        yield Violation("S3", "phantom", settled, f"it goes on, where {offers} is offered")


def _possible(history: History, one: Publication) -> list[Version]:
    """Return the versions that a publish may have been held to."""
    last = float("inf") if one.end is None else one.end.t_mono_ns
    return [
        version
        for (run, channel), versions in history.versions.items()
        if channel == one.invoke.channel and one.origin in (run, None)
        for version in versions.between(one.invoke.t_mono_ns, last)
    ]


def _named(history: History, one: Publication | None, version: str) -> list[Version]:
    """Return the version of that id that a publish may have been held to, if there is one."""
    return [] if one is None else [found for found in _possible(history, one) if found.version == version][:1]


def _ids(versions: list[Version]) -> str:
    return " or ".join(sorted({version.version for version in versions})) or "nothing"
