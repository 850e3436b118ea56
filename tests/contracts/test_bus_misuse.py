"""What a program is told when it holds the bus the wrong way round: what is wrong, by its name, and what to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import NoConnection
from liminal_mesh.node.node import Node

from ..nodes import DEADLINE_S, node_config
from .holders import Held, stay

NO_PID: Any = "a.1.2"

WRONG: Final[dict[str, tuple[Callable[[Any], Any], type[Exception], str]]] = {
    "a channel that is no text": (lambda bus: bus.publish(7, 1), TypeError, "name of a channel is text, not 7"),
    "no channel": (lambda bus: bus.publish(None, 1), TypeError, "name of a channel is text, not None"),
    "a pattern that is no text": (lambda bus: bus.subscribe(7), TypeError, "name of a channel is text, not 7"),
    "a pattern that is none": (lambda bus: bus.subscribe("m.>.x"), ValueError, "'m.>.x' is no pattern"),
    "a group that is no text": (lambda bus: bus.join(7), TypeError, "name of a group is text, not 7"),
    "headers that are none": (lambda bus: bus.publish("ticks", 1, headers=["x"]), TypeError, "headers=.'x'.: give a"),
    "too large a number": (lambda bus: bus.publish("ticks", [1 << 70]), TypeError, "an integer beyond 64 bits"),
    "half a character": (lambda bus: bus.publish("ticks", "\ud800"), TypeError, "this text cannot be encoded"),
    "a timeout with a unit": (lambda bus: bus.publish("ticks", 1, timeout="5s"), TypeError, "timeout='5s': give a num"),
    "no timeout of a send": (lambda bus: bus.send_group("x", 1, timeout=None), TypeError, "timeout=None: give a num"),
    "of a publisher": (lambda bus: bus.publisher("ticks", timeout="5s"), TypeError, "timeout='5s': give a number"),
    "of a subscription": (lambda bus: bus.subscribe("ticks", timeout="5s"), TypeError, "timeout='5s': give a number"),
    "of a barrier": (lambda bus: bus.ready("5s"), TypeError, "timeout='5s': give a number"),
    "a wait for something else": (lambda bus: bus.subscribe("ticks", wait="all"), ValueError, "wait='all': give 'clu"),
    "of a join": (lambda bus: bus.join("x", wait="all"), ValueError, "wait='all': give 'cluster'"),
    "a process for its pid": (lambda bus: bus.monitor(NO_PID), TypeError, "'a.1.2' is no Pid: .* such as process.pid"),
    "to join": (lambda bus: bus.join("x", NO_PID), TypeError, "'a.1.2' is no Pid: .* such as process.pid"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_value_that_cannot_be_is_named(held: Held, wrong: str) -> None:
    """At the call itself, and nothing was done."""
    call, kind, said = WRONG[wrong]

    async def attempt() -> None:
        made = call(held.bus)
        if asyncio.iscoroutine(made):
            await made

    with pytest.raises(kind, match=said):
        await attempt()
    assert await held.bus.group_members("x") == ()


async def test_what_is_not_entered_says_so(held: Held) -> None:
    """It neither waits for ever nor breaks inside."""
    subscription, monitor = held.bus.subscribe("ticks"), held.bus.monitor(held.bus.pid)
    with pytest.raises(RuntimeError, match="subscription to 'ticks' is not entered: use it within 'async with'"):
        await anext(subscription)
    with pytest.raises(RuntimeError, match="subscription to 'ticks' is not entered: it has no id"):
        _ = subscription.id
    async with held.bus.monitor((await held.bus.spawn(stay)).pid) as other:
        with pytest.raises(TypeError, match="timeout='5s': give a number of seconds"):
            await other.down("5s")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=r"monitor of .* is not entered: use it within 'async with'"):
        await monitor.down()


async def test_a_subscription_is_entered_once(held: Held) -> None:
    """Whoever wants another one opens it."""
    async with held.bus.subscribe("ticks") as subscription:
        with pytest.raises(RuntimeError, match="subscription to 'ticks' was entered already: open another one"):
            await subscription.__aenter__()


async def test_a_bus_is_entered_once(held: Held) -> None:
    """A node that was stopped can be started again; a client that was closed is over."""
    bus: Any = held.bus
    with pytest.raises(RuntimeError, match=r"runs already|was entered already"):
        await bus.__aenter__()


async def test_a_bus_says_what_it_is(held: Held) -> None:
    """In a debugger, and wherever it is printed."""
    assert isinstance(held.bus, Bus)
    state = "running" if isinstance(held.bus, Node) else "connected to a"
    assert repr(held.bus).endswith(f" {state}>")


def test_what_is_no_configuration_is_refused_before_anything_runs() -> None:
    """As is what is no address of a node."""
    for config in ("node.toml", {"name": "a"}, {}):
        with pytest.raises(TypeError, match=r"is no NodeConfig: give one; Node\.from_file"):
            Node(config)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="7600 is no address of a node: expected a text, liminal://host:port"):
        connect(7600)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="name=7: give a text"):
        connect(name=7)  # type: ignore[arg-type]


async def test_nobody_there_is_told_with_what_the_system_says() -> None:
    """Once for each address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(NoConnection) as refused:
            await connect(f"liminal://127.0.0.1:{port}").__aenter__()

    assert str(refused.value) == f"no connection to 127.0.0.1:{port}: Connection refused"


async def test_a_port_that_is_none_for_clients_is_called_that() -> None:
    """The node's HTTP port, most often."""
    async with asyncio.timeout(DEADLINE_S), Node(node_config("a")) as node:
        where = node.addresses["http"]
        with pytest.raises(NoConnection, match=f"to {where}: what answers is no node's port for clients: a frame of"):
            await connect(f"liminal://{where}").__aenter__()
