"""The one value that all invariants read: every event in order, and indexes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from .events import (
    AnyEvent,
    Arrive,
    Attempt,
    Close,
    Deliver,
    Drain,
    Exit,
    Fault,
    Gap,
    Link,
    Member,
    NodeRun,
    Policy,
    Publish,
    Rest,
    Run,
    Settle,
    Subscribe,
    Unsubscribe,
    Usage,
    Version,
)
from .reader import BadHistory, read_files
from .records import DrainRecord, ForcedClose, Key, KeyedAttempt, Lifetime, Numbered, Publication, SubscriptionRecord
from .versions import Versions

__all__ = ["History"]

STARVED_NS: Final = 300_000_000
"""From such holes on between its measurements the machine did not run a process: three are missing."""

LATELY_NS: Final = 5_000_000_000
"""For how long that may show."""


class History:
    """A recorded run.

    Args:
        events: of all processes, oldest first.

    Attributes:
        publications: every publish, by client and number.
        by_channel: the same, by channel, in the order in which they began; without those with keys.
        attempts: every publish with a key, by process and number.
        keyed: the contents that were published under keys.
        subscriptions: every subscription instance, by process and number.
        lifetimes: every process, by name.
        runs: those of nodes, by name and epoch.
        drains: how nodes left, by their runs.
        closes: how nodes closed connections by force, by the run and the connection's number.
        versions: of schemas, by the run of a node and the channel.
        policies: what nodes do when consumers are full, by their runs.
        arrivals: frames with publishes, as they came to nodes over links.
        meeting: what nodes saw of each other, their links and views, and the moments of rest between.
        usage: what each process said that it uses.

    Raises:
        BadHistory: ends without a beginning, or two of the same.
    """

    def __init__(self, events: Iterable[AnyEvent]) -> None:
        self.events = list(events)
        self.publications: dict[Key, Publication] = {}
        self.by_channel: dict[str, list[Publication]] = defaultdict(list)
        self.attempts: dict[tuple[str, int], KeyedAttempt] = {}
        self.keyed: set[Key] = set()
        self.subscriptions: dict[tuple[str, int], SubscriptionRecord] = {}
        self.lifetimes: dict[str, Lifetime] = {}
        self.runs: dict[NodeRun, Lifetime] = {}
        self.drains: dict[NodeRun, DrainRecord] = {}
        self.closes: dict[tuple[NodeRun, int], ForcedClose] = {}
        self.versions: dict[tuple[NodeRun, str], Versions] = defaultdict(Versions)
        self.policies: dict[NodeRun, list[Policy]] = defaultdict(list)
        self.arrivals: list[Arrive] = []
        self.meeting: list[Link | Member | Rest] = []
        self.usage: dict[str, list[Usage]] = defaultdict(list)
        self._numbered: dict[tuple[NodeRun, str], Numbered] = {}
        self._linked: dict[NodeRun, dict[NodeRun, int]] = defaultdict(dict)
        """By node: the peers that are linked now, and since when."""
        self._handlers: dict[type, Callable[[Any], None]] = {
            Publish: self._publish,
            Attempt: self._attempt,
            Deliver: self._take,
            Gap: self._take,
            Policy: lambda event: self.policies[event.node, event.epoch].append(event),
            Arrive: self.arrivals.append,
            Subscribe: self._subscribe,
            Unsubscribe: self._unsubscribe,
            Settle: self._settle,
            Version: lambda event: self.versions[(event.node, event.epoch), event.channel].note(event),
            Link: self._link,
            Member: self.meeting.append,
            Rest: self.meeting.append,
            Usage: lambda event: self.usage[event.proc].append(event),
            Run: self._run,
            Drain: self._drain,
            Exit: self._exit,
            Close: self._close,
            Fault: lambda event: None,
        }
        for event in self.events:
            self._handlers[type(event)](event)
        self._place_uncertain()
        self._end_refused()

    @classmethod
    def read(cls, paths: Iterable[Path]) -> History:
        """Read the files of all processes.

        Raises:
            BadHistory: they are none.
        """
        return cls(read_files(paths))

    def numbered_at(self, origin: NodeRun, channel: str) -> Numbered:
        """Return the publishes on a channel that may have been numbered at ``origin``: certainly, or perhaps."""
        found = self._numbered.get((origin, channel))
        if found is None:
            candidates = self.by_channel.get(channel, ())
            mine = [one for one in candidates if one.origin in (origin, None) and one.outcome != "fail"]
            found = self._numbered[origin, channel] = Numbered(mine, origin)
        return found

    def ended(self, run: NodeRun) -> int | None:
        """Return when a run of a node ended, if it did."""
        lifetime = self.runs.get(run)
        return None if lifetime is None else lifetime.ended

    def leaving(self, run: NodeRun, time: int) -> bool:
        """Return whether a node has begun to leave, at a time."""
        drain = self.drains.get(run)
        return drain is not None and drain.began.t_mono_ns <= time

    def starved(self, proc: str, time: int) -> bool:
        """Return whether a process was not run for a while shortly before a time, by what it said of itself."""
        times = [one.t_mono_ns for one in self.usage[proc]]
        holes = ((former, later) for former, later in pairwise(times) if later - former >= STARVED_NS)
        return any(former <= time and later >= time - LATELY_NS for former, later in holes)

    # --- one event of each kind ---

    def _publish(self, event: Publish) -> None:
        key = event.client, event.id
        if event.type == "invoke":
            if key in self.publications:
                raise BadHistory(f"{key} was published twice")
            # Within a node there is no connection: it is numbered there or nowhere.
            one = Publication(event, origin=None if event.session else (event.node, event.epoch))
            self.publications[key] = one
            self.by_channel[event.channel].append(one)
            return
        for number in range(event.id, event.id + event.count):
            publication = self.publications.get((event.client, number))
            if publication is None or publication.end is not None:
                raise BadHistory(f"an end without a beginning: {event}")
            publication.settle(event)

    def _attempt(self, event: Attempt) -> None:
        place, content = (event.proc, event.id), (event.client, event.n)
        if event.type != "invoke":
            one = self.attempts.get(place)
            if one is None or one.end is not None:
                raise BadHistory(f"an end without a beginning: {event}")
            one.end = event
            return
        if place in self.attempts:
            raise BadHistory(f"attempt {place} was made twice")
        self.attempts[place] = KeyedAttempt(event)
        if content not in self.publications:
            first = Publish(
                t_mono_ns=event.t_mono_ns, proc=event.proc, id=event.n, type="invoke", client=event.client,
                channel=event.channel, nonce=event.nonce, hash=event.hash,
            )  # fmt: skip
            self.publications[content] = Publication(first)
            self.keyed.add(content)

    def _take(self, event: Deliver | Gap) -> None:
        keyed = isinstance(event, Deliver) and (event.client, event.n) in self.keyed
        self._subscription(event).take(event, keyed)

    def _subscribe(self, event: Subscribe) -> None:
        key = event.proc, event.id
        if event.type == "invoke":
            if key in self.subscriptions:
                raise BadHistory(f"{key} was opened twice")
            self.subscriptions[key] = SubscriptionRecord(event)
            return
        one = self._subscription(event)
        one.answered = event
        if event.type == "ok":
            one.stood = event
            if event.wait == "cluster":
                began = one.asked.t_mono_ns
                linked = self._linked[event.node, event.epoch]
                one.peers = frozenset(peer for peer, since in linked.items() if since <= began)

    def _unsubscribe(self, event: Unsubscribe) -> None:
        one = self._subscription(event)
        if one.left is None:
            one.left = event
        one.drained = one.drained or event.drained

    def _settle(self, event: Settle) -> None:
        one = self._subscription(event)
        if event.type == "invoke":
            one.settled = event
        elif event.type == "info":
            one.unsettled = event

    def _link(self, event: Link) -> None:
        self.meeting.append(event)
        linked, peer = self._linked[event.node, event.epoch], (event.peer, event.peer_epoch)
        if event.up:
            linked[peer] = event.t_mono_ns
        else:
            linked.pop(peer, None)

    def _run(self, event: Run) -> None:
        name = event.target or event.proc
        if event.type == "invoke":
            node = event.node, event.epoch
            lifetime = self.lifetimes[name] = Lifetime(name, node, event.t_mono_ns)
            if event.node:
                self.runs[node] = lifetime
            return
        if name not in self.lifetimes:
            raise BadHistory(f"{name} ends and never began")
        self.lifetimes[name].ended = event.t_mono_ns
        self.lifetimes[name].killed = event.type == "info"

    def _drain(self, event: Drain) -> None:
        run = event.node, event.epoch
        if event.type == "invoke":
            self.drains[run] = DrainRecord(event)
        elif run in self.drains:
            self.drains[run].over = event
        else:
            raise BadHistory(f"{run} has left and never began to leave")

    def _close(self, event: Close) -> None:
        session = (event.node, event.epoch), event.session
        if event.type == "invoke":
            self.closes[session] = ForcedClose(event)
        elif session in self.closes:
            self.closes[session].over = event
        else:
            raise BadHistory(f"{session} is closed, and nobody has begun to close it")

    def _exit(self, event: Exit) -> None:
        if event.target not in self.lifetimes:
            raise BadHistory(f"{event.target} ends and never began")
        self.lifetimes[event.target].code = event.code

    def _subscription(self, event: Deliver | Gap | Subscribe | Unsubscribe | Settle) -> SubscriptionRecord:
        one = self.subscriptions.get((event.proc, event.id))
        if one is None:
            raise BadHistory(f"no subscription {event.id} in {event.proc}: {event}")
        return one

    def _place_uncertain(self) -> None:
        """A publish whose end was not seen was numbered where its message says, if anybody got it."""
        for subscription in self.subscriptions.values():
            for delivery in subscription.firsts:
                one = self.publications.get((delivery.client, delivery.n))
                if one is not None and one.origin is None:
                    one.origin = delivery.origin, delivery.origin_epoch

    def _end_refused(self) -> None:
        """A content under a key whose every attempt was refused was never published."""
        tried: dict[Key, list[KeyedAttempt]] = defaultdict(list)
        for attempt in self.attempts.values():
            tried[attempt.invoke.client, attempt.invoke.n].append(attempt)
        for content, attempts in tried.items():
            if all(one.outcome == "fail" for one in attempts):
                one = self.publications[content]
                one.end = replace(one.invoke, type="fail")
