"""The client behind a verb: connected with one clear sentence when it cannot be, and talkative when it is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ..client import Client
from ..errors import NoConnection
from .errors import Code, Stop
from .output import say
from .server import client_url

if TYPE_CHECKING:
    from liminal_mesh.cluster import Connected

__all__ = ["TalkingClient", "open_client"]


class TalkingClient(Client):
    """Tells a human when its connection is lost, and when it stands again."""

    _lost = False

    def session_up(self, greeting: Connected) -> None:
        """A connection stands."""
        super().session_up(greeting)
        if self._lost:
            say(f"connected again, to node {greeting.node}")
        self._lost = False

    def session_down(self, reason: str) -> None:
        """It is gone."""
        self._lost = True
        say(f"the connection was lost ({reason}); trying again until it stands or you stop this")
        super().session_down(reason)


@asynccontextmanager
async def open_client(server: str | None) -> AsyncIterator[Client]:
    """Connect to the node that an option, the environment or the default names.

    Raises:
        Stop: that is no address, or nobody answers there.
    """
    url = client_url(server)
    try:
        client = TalkingClient(url)
    except ValueError as error:
        raise Stop(str(error), Code.USAGE) from error
    try:
        await client.__aenter__()
    except NoConnection as error:
        hint = "Is a node running there ('liminal serve')? -s or LIMINAL_URL names another"
        raise Stop(f"{error}. {hint}") from error
    try:
        yield client
    finally:
        await client.close()
