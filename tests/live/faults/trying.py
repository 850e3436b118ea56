"""A recorded producer that publishes with keys, and tries each until it knows that it was delivered.

Everybody who tries a key publishes the same content, so that nodes see keys that others took, or are about to take.
"""

from __future__ import annotations

import asyncio
import hashlib
from itertools import count
from typing import Any

from liminal_mesh import InFlight, PublishOutcome
from liminal_mesh.node.client import Client
from liminal_mesh.node.node import Node
from tests.history.events import Attempt
from tests.history.payloads import digest, payload
from tests.history.recorder import Recorder

from .placing import Place
from .publishing import FAILURES, how

__all__ = ["TryingClient"]

ATTEMPTS = 60
PATIENCE_S = 0.4


class TryingClient:
    """Publishes one content after the other, each under its key.

    Args:
        bus: where.
        recorder: what is done.
        content: whose the contents are: those who bear the same name publish the same.
        channel: on what.
    """

    def __init__(self, bus: Node | Client, recorder: Recorder, content: str, channel: str) -> None:
        self._bus = bus
        self._recorder = recorder
        self._place = Place(bus, recorder)
        self._content = content
        self._channel = channel

    async def run(self, halted: asyncio.Event, pace: float, numbers: count[int]) -> None:
        """Try one key after the other until halted; ``numbers`` counts the attempts of the process."""
        for n in count(1):
            for _ in range(ATTEMPTS):
                if halted.is_set():
                    return
                if await self._try(n, next(numbers)):
                    break
                await asyncio.sleep(pace)
            await asyncio.sleep(pace)

    async def _try(self, n: int, number: int) -> bool:
        """Try a key once; return whether it is known to have been delivered."""
        nonce = hashlib.sha256(f"{self._content}|{n}".encode()).hexdigest()[:16]
        body = payload(self._content, n, nonce)
        place: dict[str, Any] = {
            "id": number, "client": self._content, "n": n, "channel": self._channel, "key": f"{self._content}/{n}",
        }  # fmt: skip
        self._recorder.write(Attempt(**self._place.at(), **place, type="invoke", nonce=nonce, hash=digest(body)))
        try:
            outcome = await self._bus.publish(self._channel, body, key=place["key"], timeout=PATIENCE_S)
        except FAILURES as error:
            text = f"{type(error).__name__}: {error}"[:200]
            self._recorder.write(Attempt(**self._place.at(), **place, type=how(error), error=text))
            await asyncio.sleep(error.retry_after if isinstance(error, InFlight) else 0)
            return False
        self._recorder.write(Attempt(**self._place.at(), **place, **_answer(outcome)))
        return bool(outcome.delivered or outcome.duplicate)


def _answer(outcome: PublishOutcome) -> dict[str, Any]:
    return {
        "message": outcome.message_id,
        "delivered": bool(outcome.delivered),
        "duplicate": outcome.duplicate,
    }
