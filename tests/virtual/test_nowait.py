"""Publishing without waiting, on more channels than are worth remembering."""

from __future__ import annotations

import gc

import pytest

from liminal_mesh import Client, LimitExceeded
from liminal_mesh.node.client_outgoing import CHANNELS
from liminal_mesh.node.client_sinks import Nowait
from liminal_mesh.testing import Cluster


async def _each(client: Client, numbers: range) -> None:
    for number in numbers:
        client.publish_nowait(f"room.{number}", b"")
        if number % 100 == 0:
            await client.publish("room", b"")  # whatever went before has its answer


async def test_a_client_forgets_the_channels_on_which_nothing_is_open() -> None:
    """What it keeps does not grow with the names that it has ever used."""
    async with Cluster(nodes=1) as cluster, cluster.client("a") as client:
        await _each(client, range(3 * CHANNELS))
        gc.collect()
        held = sum(isinstance(one, Nowait) for one in gc.get_objects())
        assert held <= CHANNELS + 200


async def test_a_refusal_is_not_forgotten() -> None:
    """It is raised by the next publish on its channel, however many others came between."""
    async with (
        Cluster(nodes=1, config={"limits": {"channels": 2 * CHANNELS}}) as cluster,
        cluster.client("a") as client,
    ):
        await client.publish("room", b"")
        await _each(client, range(2 * CHANNELS))
        for _ in range(2):
            await _each(client, range(2 * CHANNELS - 1))
        with pytest.raises(LimitExceeded, match="channels"):
            client.publish_nowait(f"room.{2 * CHANNELS - 1}", b"")
