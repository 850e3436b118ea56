"""What is left of a client's connection when it is over."""

from __future__ import annotations

import gc
import weakref

from liminal_mesh.node.connecting import connect
from liminal_mesh.node.node import Node

from ..contracts.holders import eventually
from ..nodes import node_config


async def test_nothing_is_left_of_a_client_that_was_closed() -> None:
    """No timer holds it: a program that makes many of them in a second keeps none."""
    async with Node(node_config("a")) as node:
        async with connect(f"liminal://{node.addresses['client']}") as client:
            left = weakref.ref(client._dialler)
        del client
        await eventually(lambda: not node.connections())
        await eventually(lambda: gc.collect() >= 0 and left() is None)
