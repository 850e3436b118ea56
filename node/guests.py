"""What one client has at its node beside subscriptions: processes with mailboxes, memberships, monitors and watches.

A process that a client has spawned runs in the client's program; here it is an entry of the process table, which
follows the connection's own, and an inbox that is delivered to the client.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import (
    ClientFrame,
    Demonitor,
    ExitProcess,
    Join,
    Leave,
    LinkProcess,
    MonitorProcess,
    OpenMailbox,
    Pid,
    ProcessGone,
    ProtocolError,
    Reply,
    Subscribed,
    UnwatchGroup,
    UnwatchMembers,
    WatchGroup,
    WatchMembers,
)
from liminal_mesh.storage import LiminalError

from .backing import Backing
from .config_limits import LimitsConfig
from .deliveries import Delivery
from .errors import LimitExceeded, NoProcess
from .guest_watches import GuestWatch, key_of, watch_for
from .interests import wait_s
from .names import check_name
from .post import Post, Stay
from .processes import NO_CONNECTION

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Guests"]

NIL = b"\xc0"
"""Nothing, as msgpack: an answer that only says that it was done."""


class Guests:
    """The processes, monitors and watches of one client.

    Args:
        connection: the client's.
        hub: the node's middle.
        limits: the node's bounds.
    """

    def __init__(self, connection: Connection, hub: Backing, limits: LimitsConfig) -> None:
        self._connection = connection
        self._hub = hub
        self._limits = limits
        self._posts: dict[int, Post] = {}
        self._monitors: dict[int, int] = {}
        self._watches: dict[int, GuestWatch] = {}
        self._links: set[tuple[Pid, Pid]] = set()
        """Those that the client has asked for, of its processes with others; some may be over."""

    def frame(self, frame: ClientFrame) -> None:
        """Take a frame that asks for something of these.

        Raises:
            ProtocolError: no client of ours sends this.
        """
        match frame:
            case OpenMailbox() | Join() | Leave() | WatchGroup() | WatchMembers() | MonitorProcess():
                try:
                    self._ask(frame)
                except LiminalError as error:
                    self._connection.fail(frame.ref, error)
            case ExitProcess():
                self._exit(frame)
            case LinkProcess():
                self._link(frame)
            case UnwatchGroup() | UnwatchMembers():
                self._unwatch(frame.watch)
            case Demonitor():
                self._hub.processes.demonitor(self._monitors.pop(frame.watch, 0))

    def own(self, number: int) -> bool:
        """Whether this is the number of the connection's own mailbox."""
        post = self._posts.get(number)
        return post is not None and post.pid == self._connection.pid

    @property
    def mailboxes(self) -> int:
        """How many mailboxes the client has, its own included."""
        return len(self._posts)

    def counts(self) -> tuple[int, int]:
        """Return how many processes the client has spawned that live, and how many monitors and watches it has."""
        spawned = sum(1 for post in self._posts.values() if post.pid != self._connection.pid)
        return spawned, len(self._monitors) + len(self._watches)

    def close(self) -> None:
        """The connection is over; the processes that follow it end by that, and the rest ends here."""
        for ref in self._monitors.values():
            self._hub.processes.demonitor(ref)
        self._monitors.clear()
        for watch in tuple(self._watches):
            self._unwatch(watch)
        for post in [post for post in self._posts.values() if post.pid == self._connection.pid]:
            post.close(NO_CONNECTION)

    def _ask(self, frame: OpenMailbox | Join | Leave | WatchGroup | WatchMembers | MonitorProcess) -> None:
        match frame:
            case OpenMailbox():
                self._open(frame)
            case Join():
                self._join(frame)
            case Leave():
                self._post(frame.subscription).leave_group(frame.group)
                self._done(frame.ref)
            case WatchGroup() | WatchMembers():
                self._watch(frame)
            case MonitorProcess():
                self._monitor(frame)

    def _done(self, ref: int) -> None:
        self._connection.send(Reply(ref, NIL))

    # --- processes ---

    def _open(self, frame: OpenMailbox) -> None:
        connection, hub = self._connection, self._hub
        if not frame.spawn and any(post.pid == connection.pid for post in self._posts.values()):
            raise ProtocolError("the connection's mailbox is open already")
        if frame.spawn:  # the mailbox of the connection itself is nothing until it joins a group
            hub.admit(connection.pid, "spawn", "")
        delivery = connection.new_delivery(frame.subscription)
        inbox = hub.interests.make_mailbox(frame.max_in_flight, connection.deliveries.budget)
        pid = connection.pid
        if frame.spawn:
            pid = hub.processes.spawn("process", partial(self._exited, delivery), follows=pid)
        self._posts[delivery.number] = Post(hub, pid, inbox, delivery)
        delivery.pid = pid
        connection.deliveries.add(delivery, inbox)
        connection.send(Subscribed(frame.ref, delivery.number, pid.number))

    def _exited(self, delivery: Delivery, reason: str) -> None:
        """A process that the client has spawned is over."""
        self._posts.pop(delivery.number).close(reason)
        self._connection.deliveries.remove(delivery)
        if self._connection.state == "open" and not delivery.told:
            self._connection.send(ExitProcess(delivery.number, reason))

    def _exit(self, frame: ExitProcess) -> None:
        post = self._posts.get(frame.subscription)
        delivery = self._connection.deliveries.held.get(frame.subscription)
        if post is None or delivery is None:
            return  # it was ended from here while this was on its way
        if post.pid == self._connection.pid:
            raise ProtocolError("the connection's own process ends with the connection")
        delivery.told = True
        self._hub.processes.exit(post.pid, frame.reason)

    def _link(self, frame: LinkProcess) -> None:
        post = self._posts.get(frame.subscription)
        if post is None:
            return
        other = Pid(frame.node, frame.epoch, frame.number)
        if not frame.linked:
            self._links.discard((post.pid, other))
            self._hub.processes.unlink(post.pid, other)
            return
        try:
            self._hub.permit(self._connection.pid, "link", "")
            self._check_links()
            self._links.add((post.pid, other))
            self._hub.processes.link(post.pid, other)
        except LiminalError as error:  # nobody waits for an answer, and it must not live on unlinked
            self._hub.processes.exit(post.pid, f"error: {error}")

    def _check_links(self) -> None:
        most = self._limits.watches_per_connection
        if len(self._links) >= most:
            links = self._hub.processes.links
            self._links &= {(post.pid, other) for post in self._posts.values() for other in links(post.pid)}
            if len(self._links) >= most:
                raise LimitExceeded("watches_per_connection", most)

    def _post(self, number: int) -> Post:
        post = self._posts.get(number)
        if post is None:
            raise NoProcess(f"of mailbox {number}", "it is over")
        return post

    # --- groups, and what is watched ---

    def _join(self, frame: Join) -> None:
        post, group = self._post(frame.subscription), _checked(frame.group)
        self._hub.admit(self._connection.pid, "join", group)
        most = self._limits.memberships_per_connection
        if group not in post.groups and sum(len(one.groups) for one in self._posts.values()) >= most:
            raise LimitExceeded("memberships_per_connection", most)
        if frame.wait == "cluster":
            # In the group before anything else that the client has sent is looked at: it may end the process.
            self._connection.errands.check()
            self._connection.errands.run(self._settle(frame, post, post.begin(group)))
        else:
            post.join(group)
            self._done(frame.ref)

    async def _settle(self, frame: Join, post: Post, stay: Stay) -> None:
        try:
            await post.settle(stay, wait_s(frame.timeout_ms / 1000))
        except LiminalError as error:
            self._connection.fail(frame.ref, error)
        else:
            self._done(frame.ref)

    def _watch(self, frame: WatchGroup | WatchMembers) -> None:
        watch = self._watches.get(frame.watch)
        if watch is None:
            self._check_room()
            watch = self._watches[frame.watch] = watch_for(frame, self._connection, self._hub)
        elif watch.key != key_of(frame):
            raise ProtocolError(f"watch {frame.watch} is open already, of something else")
        self._done(frame.ref)
        watch.restart()

    def _unwatch(self, number: int) -> None:
        watch = self._watches.pop(number, None)
        if watch is not None:
            watch.close()

    # --- monitors ---

    def _monitor(self, frame: MonitorProcess) -> None:
        if frame.watch in self._monitors:
            raise ProtocolError(f"monitor {frame.watch} is open already")
        self._check_room()
        self._hub.permit(self._connection.pid, "monitor", "")
        target = Pid(frame.node, frame.epoch, frame.number)
        self._monitors[frame.watch] = 0
        try:
            ref = self._hub.processes.monitor(target, partial(self._down, frame.watch))
        except LimitExceeded:
            del self._monitors[frame.watch]
            raise
        if frame.watch in self._monitors:
            self._monitors[frame.watch] = ref
        self._done(frame.ref)

    def _down(self, watch: int, reason: str) -> None:
        self._monitors.pop(watch, None)
        self._connection.send(ProcessGone(watch, reason))

    def _check_room(self) -> None:
        most = self._limits.watches_per_connection
        if len(self._monitors) + len(self._watches) >= most:
            raise LimitExceeded("watches_per_connection", most)


def _checked(group: str) -> str:
    try:
        return check_name(group, "group")
    except ValueError as error:  # our own clients look at names before they send them
        raise ProtocolError(str(error)) from error
