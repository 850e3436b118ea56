"""The clients of the NATS contender, each a process: ``python -m benchmarks.nats_clients ROLE PORT MESSAGES ...``."""

from __future__ import annotations

import asyncio
import sys

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from .result import BODY_BYTES, WINDOW
from .roles import loop_run, now, say

SUBJECT = "bench.messages"
READY = "bench.ready"
BODY = bytes(BODY_BYTES)
ARRIVAL_S = 50.0
REACH_S = 10.0
TURN = 256


async def _connect(port: int) -> Client:
    return await nats.connect(f"nats://127.0.0.1:{port}", skip_subject_validation=True)


async def _subscribe(port: int, messages: int, subscribers: int) -> None:
    """Count messages (and answer those that ask for it) until all are here."""
    client, awaited = await _connect(port), messages * subscribers
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def count(message: Msg) -> None:
        nonlocal awaited
        awaited -= 1
        if message.reply:
            await client.publish(message.reply, b"")
        if awaited == 0:
            done.set_result(now())

    async def answer(message: Msg) -> None:
        await message.respond(b"")

    for _ in range(subscribers):
        await client.subscribe(SUBJECT, cb=count)
    await client.subscribe(READY, cb=answer)
    await client.flush()
    say(ready=True)
    try:
        async with asyncio.timeout(ARRIVAL_S):
            say(end=await done)
    except TimeoutError:
        raise SystemExit(f"{awaited} messages did not arrive") from None
    await asyncio.get_running_loop().create_future()


async def _reach(client: Client) -> None:
    """Wait until the other node's subscriptions are known here; they are told in order, and this one is the last."""
    async with asyncio.timeout(REACH_S):
        while True:
            try:
                await client.request(READY, b"", timeout=1)
            except (NoRespondersError, nats.errors.TimeoutError):
                await asyncio.sleep(0.02)
            else:
                return


async def _publish(client: Client, messages: int) -> None:
    for number in range(messages):
        await client.publish(SUBJECT, BODY)
        if number % TURN == 0:
            await asyncio.sleep(0)
    await client.flush(timeout=30)


async def _flush(client: Client, messages: int) -> None:
    for number in range(1, messages + 1):
        await client.publish(SUBJECT, BODY)
        if number % WINDOW == 0:
            await client.flush()
    await client.flush()


async def _request(client: Client, messages: int) -> None:
    """One inbox for all answers, and a count of how many are out: the least that a window can cost."""
    inbox, answered, room = client.new_inbox(), 0, asyncio.Event()

    async def receipt(_: Msg) -> None:
        nonlocal answered
        answered += 1
        room.set()

    await client.subscribe(inbox, cb=receipt)
    for number in range(messages):
        while number - answered >= WINDOW:
            room.clear()
            await room.wait()
        await client.publish(SUBJECT, BODY, reply=inbox)
    while answered < messages:
        room.clear()
        await room.wait()


async def _timed(role: str, port: int, messages: int) -> None:
    client = await _connect(port)
    await _reach(client)
    say(start=now())
    await {"publish": _publish, "flush": _flush, "request": _request}[role](client, messages)
    say(end=now())
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    role, port, messages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    loop_run(_subscribe(port, messages, int(sys.argv[4])) if role == "subscribe" else _timed(role, port, messages))
