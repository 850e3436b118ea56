"""The wire, over sockets and in memory: what goes out when, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from liminal_mesh.cluster import Address, PipeNetwork, ProtocolError, TcpNetwork, Wire

DEADLINE_S = 10.0


def frame(kind: int, body: bytes = b"") -> bytes:
    """Return a frame as the buffer cuts it."""
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


class Owner:
    """Writes down what happens; has data when a test gives it some."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.data: list[bytes] = []
        self.pulls: list[int] = []
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.paused = asyncio.Event()
        self.frames: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.break_at: int | None = None
        self.close_at: int | None = None
        self.work: Callable[[Wire], None] = lambda _: None
        """What each frame brings about."""

    def wire_opened(self, wire: Wire) -> None:
        """See :class:`WireOwner`."""
        self.events.append("opened")

    def wire_frame(self, wire: Wire, kind: int, body: memoryview) -> None:
        """See :class:`WireOwner`."""
        if kind == self.break_at:
            raise ProtocolError("not this one")
        self.frames.put_nowait((kind, bytes(body)))
        self.work(wire)
        if kind == self.close_at:
            wire.send(frame(9))
            wire.close("that was enough")

    def wire_heard(self, wire: Wire) -> None:
        """See :class:`WireOwner`."""
        self.events.append("heard")

    def wire_broken(self, wire: Wire, error: ProtocolError) -> None:
        """See :class:`WireOwner`."""
        self.events.append(str(error))
        wire.abort(str(error))

    def wire_closed(self, wire: Wire, reason: str) -> None:
        """See :class:`WireOwner`."""
        self.closed.set_result(reason)

    def wire_paused(self, wire: Wire) -> None:
        """See :class:`WireOwner`."""
        self.paused.set()

    def wire_pull(self, wire: Wire, bytes_max: int) -> list[bytes]:
        """See :class:`WireOwner`."""
        self.pulls.append(bytes_max)
        taken: list[bytes] = []
        while self.data and sum(map(len, taken)) < bytes_max:
            taken.append(self.data.pop(0))
        return taken


Ends = tuple[Wire, Owner, asyncio.StreamReader, asyncio.StreamWriter]
Join = Callable[..., AbstractAsyncContextManager[Ends]]


@pytest.fixture(params=["tcp", "pipe"])
def connected(request: pytest.FixtureRequest) -> Join:
    """Return what joins a wire with plain streams, over each network."""
    network = TcpNetwork() if request.param == "tcp" else PipeNetwork(latency=(0.0, 0.001)).host("127.0.0.1")

    @asynccontextmanager
    async def join(limit: int = 1 << 20) -> AsyncIterator[Ends]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(1 << 16)
        other: asyncio.Future[asyncio.StreamWriter] = loop.create_future()

        def stream() -> asyncio.StreamReaderProtocol:
            return asyncio.StreamReaderProtocol(reader, lambda _, writer: other.set_result(writer))

        port = network.bind(Address("127.0.0.1", 0), 16)
        owner = Owner()
        wire = Wire(loop, owner, limit)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(port.accept(stream), network.connect(lambda: wire, port.address))
            writer = await other
            port.close()
            try:
                yield wire, owner, reader, writer
            finally:
                wire.abort("the test is over")
                writer.transport.abort()
                await owner.closed
                await asyncio.sleep(0)  # the other end is closed in a turn of its own

    return join


async def test_what_is_sent_in_one_turn_is_one_write_with_control_first(connected: Join) -> None:
    """However it was queued."""
    async with connected() as (wire, owner, reader, _):
        owner.data = [frame(3, b"data"), frame(4, b"more")]
        wire.wake()
        wire.send(frame(1))
        wire.wake()
        wire.send(frame(2))
        assert wire.queued_bytes == 10
        assert not owner.pulls

        expected = frame(1) + frame(2) + frame(3, b"data") + frame(4, b"more")
        assert await reader.readexactly(len(expected)) == expected
        assert wire.bytes_out == len(expected)
        assert wire.queued_bytes == 0


async def test_data_is_pulled_until_there_is_none(connected: Join) -> None:
    """And then not before somebody says that there is some."""
    async with connected() as (wire, owner, reader, _):
        owner.data = [frame(3, b"x" * 300_000) for _ in range(4)]
        wire.wake()
        await reader.readexactly(4 * 300_005)
        assert not owner.data
        count = len(owner.pulls)
        assert count >= 5
        await asyncio.sleep(0)
        assert len(owner.pulls) == count


async def test_frames_arrive_whole_whatever_their_pieces(connected: Join) -> None:
    """And their bytes are counted."""
    async with connected() as (wire, owner, _, writer):
        whole = frame(1, b"one") + frame(2, b"") + frame(3, b"x" * 5000)
        for start in range(0, len(whole), 1000):
            writer.write(whole[start : start + 1000])
            await writer.drain()

        assert [await owner.frames.get() for _ in range(3)] == [(1, b"one"), (2, b""), (3, b"x" * 5000)]
        assert wire.bytes_in == len(whole)
        assert wire.peer_address.startswith("127.0.0.1:")
        assert owner.events[:2] == ["opened", "heard"]


@pytest.mark.parametrize("bad", [b"\0\0\0\0", (1 << 21).to_bytes(4, "big")], ids=["empty", "lying"])
async def test_a_bad_length_breaks_the_wire(connected: Join, bad: bytes) -> None:
    """After the good frames before it, and nothing more is read."""
    async with connected() as (_, owner, _, writer):
        writer.write(frame(1, b"good") + bad + frame(2))
        await owner.closed

        assert owner.frames.get_nowait() == (1, b"good")
        assert owner.frames.empty()


async def test_a_frame_that_its_owner_refuses_breaks_the_wire(connected: Join) -> None:
    """What followed it in the same bytes is not looked at."""
    async with connected() as (_, owner, _, writer):
        owner.break_at = 2
        writer.write(frame(1) + frame(2) + frame(3))

        assert await owner.closed == "not this one"
        assert owner.frames.qsize() == 1


async def test_a_reader_that_does_not_read_pauses_data_and_not_control(connected: Join) -> None:
    """And data goes on when it reads again."""
    async with connected() as (wire, owner, reader, _):
        owner.data = [frame(3, b"x" * 65_531) for _ in range(400)]
        wire.wake()
        await owner.paused.wait()
        left = len(owner.data)
        assert left > 0
        assert wire.paused
        assert wire.blocked_since is not None
        wire.wake()
        wire.send(frame(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(owner.data) == left
        assert wire.queued_bytes > 0

        await reader.readexactly(400 * 65_536 + 5)
        assert not owner.data
        assert not wire.paused
        assert wire.blocked_since is None


async def test_control_for_a_reader_that_does_not_read_has_an_end(connected: Join) -> None:
    """It is gone for all we know, and its memory is ours."""
    async with connected() as (wire, owner, _, _):
        while not owner.closed.done():
            wire.send(frame(1, b"x" * 100_000))
            await asyncio.sleep(0)

        assert await owner.closed == "the other side does not read"


@pytest.mark.parametrize("lane", ["control", "data"])
async def test_one_answer_may_be_larger_than_all_that_may_wait_otherwise(connected: Join, lane: str) -> None:
    """Such as who is in a group of hundreds of thousands; whoever reads it gets it."""
    async with connected() as (wire, owner, reader, _):
        large = frame(3, bytes(20 << 20))
        if lane == "control":
            wire.send(large)
        else:
            owner.data = [large]
            wire.wake()
        assert await reader.readexactly(len(large)) == large
        wire.send(frame(1))
        assert await reader.readexactly(5) == frame(1)


async def test_closing_writes_what_was_sent(connected: Join) -> None:
    """Data that was not pulled yet stays with its owner."""
    async with connected() as (wire, owner, reader, _):
        wire.send(frame(1, b"goodbye"))
        owner.data = [frame(3)]
        wire.close("enough")

        assert await reader.read() == frame(1, b"goodbye")
        assert await owner.closed == "enough"
        assert owner.data == [frame(3)]


async def test_nothing_is_read_of_a_wire_that_is_closed(connected: Join) -> None:
    """What came in the same bytes as the frame over which it was closed is counted, and that is all."""
    async with connected() as (wire, owner, reader, writer):
        owner.close_at = 1
        writer.write(frame(1) + frame(2) + frame(3))

        assert await reader.read() == frame(9)
        assert await owner.closed == "that was enough"
        assert owner.frames.qsize() == 1
        assert owner.events.count("heard") == 1
        assert wire.late_frames == 2


async def test_what_comes_late_and_is_no_frame_is_not_complained_about(connected: Join) -> None:
    """The connection is closed already, and nothing behind it can be counted."""
    async with connected() as (wire, owner, _, writer):
        owner.close_at = 1
        writer.write(frame(1) + frame(2) + b"\0\0\0\0" + frame(3))

        assert await owner.closed == "that was enough"
        assert owner.events == ["opened", "heard"]
        assert wire.late_frames == 1


async def test_aborting_drops_what_waits(connected: Join) -> None:
    """The first reason stays, and the end comes once."""
    async with connected() as (wire, owner, reader, _):
        wire.send(frame(1))
        wire.abort("at once")
        wire.close("later")

        assert await owner.closed == "at once"
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(6)
        wire.abort("again")
        wire.send(frame(2))


async def test_who_waits_for_nothing_is_told_soon(connected: Join) -> None:
    """And not before it has asked."""
    async with connected() as (wire, _, _, _):
        written = asyncio.Event()
        wire.when_written(lambda: True, written.set)
        assert not written.is_set()
        await written.wait()


async def test_what_is_written_is_with_the_system_when_that_is_told(connected: Join) -> None:
    """Control, data that is pulled later, and what the transport holds; what follows is not waited for."""
    async with connected() as (wire, owner, reader, _):
        told: list[tuple[int, int]] = []
        written = asyncio.Event()

        def note() -> None:
            told.append((wire.queued_bytes, len(owner.data)))
            written.set()

        owner.data = [bytes(1 << 18)] * 64
        wire.send(frame(1))
        wire.wake()
        wire.when_written(lambda: len(owner.data) <= 2, note)
        await owner.paused.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not told
        while not written.is_set():
            await reader.read(1 << 20)
        assert told[0][0] == 0
        assert told[0][1] <= 2
        assert len(told) == 1
        while owner.data or wire.queued_bytes:
            await reader.read(1 << 20)
        owner.paused.clear()
        while not wire.queued_bytes:
            wire.send(bytes(1 << 14))
            await asyncio.sleep(0.001)
        assert not owner.paused.is_set(), "it holds as much as before without being full"


async def test_who_gives_up_on_what_is_written_leaves_the_wire_as_it_was(connected: Join) -> None:
    """It holds as much as before without being full."""
    async with connected() as (wire, owner, reader, _):
        owner.data = [bytes(1 << 18)] * 64
        forget = wire.when_written(lambda: wire.paused, lambda: None)
        await owner.paused.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        forget()
        while owner.data or wire.queued_bytes:
            await reader.read(1 << 20)
        owner.paused.clear()
        while not wire.queued_bytes:
            wire.send(bytes(1 << 14))
            await asyncio.sleep(0.001)
        assert not owner.paused.is_set()


async def test_the_end_is_told_to_who_waits_for_bytes_to_be_written(connected: Join) -> None:
    """Unless it has given up."""
    async with connected() as (wire, owner, _, _):
        told: list[str] = []
        wire.when_written(lambda: False, lambda: told.append("one"))
        forget = wire.when_written(lambda: False, lambda: told.append("other"))
        forget()
        forget()
        wire.abort("at once")
        await owner.closed
        assert told == ["one"]


async def test_the_other_sides_end_is_told(connected: Join) -> None:
    """By who ended it."""
    async with connected() as (_, owner, _, writer):
        writer.write(frame(1)[:3])  # half a frame is none
        writer.close()

        assert await owner.closed == "closed by the other side"
        assert owner.frames.empty()


async def test_reading_can_rest(connected: Join) -> None:
    """What arrives meanwhile waits in the kernel."""
    async with connected() as (wire, owner, _, writer):
        wire.pause_reading()
        writer.write(frame(1))
        await writer.drain()
        for _ in range(5):
            await asyncio.sleep(0)
        assert owner.frames.empty()
        wire.resume_reading()

        assert await owner.frames.get() == (1, b"")
    wire.pause_reading()
    wire.resume_reading()
    wire.user_timeout(1.0)


async def turns_of(owner: Owner, count: int) -> tuple[list[int], list[int]]:
    """Return in which turn of the loop each of so many frames was handed on, and their types."""
    loop, turn, turns = asyncio.get_running_loop(), 0, list[int]()

    def next_turn() -> None:
        nonlocal turn
        turn += 1
        if len(turns) < count:
            loop.call_soon(next_turn)

    work = owner.work

    def note(wire: Wire) -> None:
        work(wire)
        turns.append(turn)

    owner.work = note
    next_turn()
    async with asyncio.timeout(DEADLINE_S):
        kinds = [(await owner.frames.get())[0] for _ in range(count)]
    return turns, kinds


def burn(_: Wire) -> None:
    """Take longer for a frame than a turn may take."""
    end = time.perf_counter() + 0.006
    while time.perf_counter() < end:
        pass


async def test_many_frames_of_one_read_are_handed_on_in_one_turn(connected: Join) -> None:
    """As long as they cost little."""
    async with connected() as (_, owner, _, writer):
        writer.write(b"".join(frame(kind) for kind in range(200)))
        turns, _ = await turns_of(owner, 200)
        assert len(set(turns)) == 1


async def test_frames_that_cost_much_leave_turns_for_others(connected: Join) -> None:
    """However many came in one read; their order is that in which they came."""
    async with connected() as (_, owner, _, writer):
        owner.work = burn
        writer.write(b"".join(frame(kind) for kind in range(20)))
        turns, kinds = await turns_of(owner, 20)
        assert turns == sorted(set(turns))
        assert kinds == list(range(20))


async def test_frames_that_ask_for_much_are_answered_bit_by_bit(connected: Join) -> None:
    """So that not all the answers to one read are made before the first of them is written."""
    async with connected() as (_, owner, reader, writer):
        owner.work = lambda wire: wire.send(frame(9, bytes(100_000)))
        writer.write(frame(1) * 60)
        turns, _ = await turns_of(owner, 60)
        assert max(map(turns.count, turns)) == 3
        await reader.readexactly(60 * 100_005)


async def test_who_asks_for_much_and_reads_nothing_is_gone_before_all_of_it_is_made(connected: Join) -> None:
    """The bytes that wait for it have an end, however little it takes to ask for them."""
    async with connected() as (wire, owner, _, writer):
        owner.work = lambda wire: wire.send(frame(9, bytes(100_000)))
        writer.write(frame(1) * 10_000)
        assert await owner.closed == "the other side does not read"
        assert owner.frames.qsize() < 1000
        assert wire.late_frames == 10_000 - owner.frames.qsize()


async def test_what_was_read_before_the_end_is_handed_on_before_the_end_is_told(connected: Join) -> None:
    """Even if the connection is reset meanwhile."""
    async with connected() as (wire, owner, _, writer):
        owner.work = burn
        writer.write(frame(1) * 10)
        await owner.frames.get()
        wire._transport.abort()  # type: ignore[union-attr]  # as the loop does when a write fails
        await owner.closed
        assert owner.frames.qsize() == 9


async def test_reading_rests_until_the_owner_wants_it_too(connected: Join) -> None:
    """An owner that pauses the wire while it is behind is not overruled when it has caught up, nor the wire by it."""
    async with connected() as (wire, owner, _, writer):
        owner.work = burn
        writer.write(frame(1) * 5)
        await owner.frames.get()
        wire.pause_reading()
        wire.resume_reading()
        assert not wire._transport.is_reading()  # type: ignore[union-attr]
        wire.pause_reading()
        for _ in range(4):
            await owner.frames.get()
        for _ in range(3):
            await asyncio.sleep(0)
        assert wire._frames is None
        assert not wire._transport.is_reading()  # type: ignore[union-attr]
        wire.resume_reading()
        writer.write(frame(2))
        assert await owner.frames.get() == (2, b"")


async def test_a_defect_in_a_later_turn_ends_the_connection_too(connected: Join) -> None:
    """And the loop is told of it."""
    async with connected() as (wire, owner, _, writer):
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

        def work(wire: Wire) -> None:
            burn(wire)
            if owner.frames.qsize() == 3:
                raise ArithmeticError("planted")

        owner.work = work
        writer.write(frame(1) * 5)
        assert await owner.closed == "a frame met a defect"
        assert owner.frames.qsize() == 3
        assert [type(one["exception"]) for one in told] == [ArithmeticError]
        assert wire._frames is None
