"""Peers that do not belong: what they are told, what they learn, and what goes on meanwhile."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from liminal_mesh.cluster import NameInUse
from liminal_mesh.cluster.errors import AddressInUse
from liminal_mesh.cluster.frames import Auth, Hello, Refusal, Welcome
from liminal_mesh.node import Message
from liminal_mesh.node.environment import REAL
from liminal_mesh.node.errors import ConfigError
from liminal_mesh.node.node import Node

from ...nodes import DEADLINE_S, linked, mesh, node_config, until
from ..raw_peer import RawPeer, hello, raw_seed
from .conftest import COOKIE, OTHER_COOKIE, logged

pytestmark = pytest.mark.live


def with_cookie(path: Path, cookie: bytes) -> dict[str, Any]:
    path.write_bytes(cookie)
    path.chmod(0o600)
    return {"cookie_file": path}


def links_of(node: Node) -> dict[str, int]:
    """Return a node's peers, with the numbers of their sessions."""
    mesh_of_it = node.running.hub.mesh
    assert mesh_of_it is not None
    return {name: link.g for name, link in mesh_of_it.links.items()}


async def test_a_wrong_cookie_is_named_in_both_logs_and_a_right_one_gets_in_meanwhile(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """ME7: the node that is refused serves on its own."""
    caplog.set_level(logging.INFO, "liminal")
    right, wrong = with_cookie(tmp_path / "right", COOKIE), with_cookie(tmp_path / "wrong", OTHER_COOKIE)
    async with Node(node_config("a", cluster=right)) as a:
        seeds = [str(a.addresses["mesh"])]
        async with Node(node_config("b", seeds, cluster=wrong)) as b, Node(node_config("c", seeds, cluster=right)) as c:
            assert (await logged(caplog, "peer_refused", code="cookie"))["peer"] == "a"
            assert (await logged(caplog, "refused_by_peer", code="cookie"))["peer"] == "b"
            await linked([a, c])
            told = [event for node in (a, b) for event in node.running.hub.events]
            assert {"peer_refused", "refused_by_peer", "link_up"} <= {event["kind"] for event in told}
            assert COOKIE.decode() not in str(told)

            assert [one.name for one in await a.members()] == ["a", "c"]
            assert [one.name for one in await b.members() if one.reachable] == ["b"]
            async with b.subscribe("ticks") as alone:
                assert (await a.publish("ticks", 1)).local == 0
                await b.publish("ticks", 2)
                assert [(await message_of(alone)).payload] == [2]
    text = caplog.text
    assert COOKIE.decode() not in text
    assert OTHER_COOKIE.decode() not in text


async def message_of(subscription: Any) -> Message:
    async with asyncio.timeout(DEADLINE_S):
        message = await anext(subscription)
    assert isinstance(message, Message)
    return message


async def test_a_stranger_with_a_wrong_cookie_is_refused_in_one_round_trip_and_learns_nothing(
    cookie_file: Path,
) -> None:
    """ME7: not even whether a node of that name is linked."""
    async with mesh(2, cluster={"cookie_file": cookie_file}) as (a, b):
        async with RawPeer.to(a.addresses["mesh"]) as stranger:
            mine = hello("b", epoch=b.epoch)
            stranger.send(mine)
            welcome = await stranger.expect(Welcome)
            assert (welcome.decider_epoch, welcome.last_seen, welcome.current) == (0, 0, 0)
            stranger.send(Auth(0, 0, 0, b"\0" * 32))
            (refusal,) = await stranger.ended()

        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.known_epoch, refusal.address) == ("cookie", 0, "")
        await linked([a, b])


async def test_a_node_dials_a_seed_with_another_cookie_for_ever_and_joins_when_it_is_right(cookie_file: Path) -> None:
    """It tells the seed no more than its own Hello and the refusal."""
    async with raw_seed() as seed, Node(node_config("a", [seed.address], cluster={"cookie_file": cookie_file})) as a:
        for _ in range(3):
            visitor = await seed.visitor()
            handshake = await visitor.shake_hands(hello("z"), OTHER_COOKIE, "listener")
            assert await visitor.ended() == []
            assert [type(frame) for frame in visitor.seen] == [Hello, Refusal]
            assert handshake.refusal is not None
            assert handshake.refusal.code == "cookie"
        visitor = await seed.visitor()
        await visitor.join(hello("z"), COOKIE, "listener")

        assert {one.name for one in await a.members() if one.reachable} == {"a", "z"}


async def test_another_clusters_name_is_refused_by_the_first_answer_and_named_in_both_logs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """ME7: the same cookie does not help."""
    async with Node(node_config("a", cluster={"name": "red"})) as a:
        async with Node(node_config("b", [str(a.addresses["mesh"])], cluster={"name": "blue"})) as b:
            assert "blue" in (await logged(caplog, "peer_refused", code="cluster"))["reason"]
            assert "blue" in (await logged(caplog, "refused_by_peer", code="cluster"))["reason"]
            assert [one.name for one in await a.members()] == ["a"]
            assert [one.name for one in await b.members()] == ["b"]
        async with RawPeer.to(a.addresses["mesh"]) as stranger:
            stranger.send(hello("b", cluster="green"))
            (refusal,) = await stranger.ended()
            assert isinstance(refusal, Refusal)
            assert refusal.code == "cluster"
            assert "red" not in refusal.reason


async def test_a_version_that_is_not_spoken_is_refused_by_the_first_answer() -> None:
    """With both ranges."""
    async with Node(node_config("a")) as a, RawPeer.to(a.addresses["mesh"]) as stranger:
        mine = hello("z")
        stranger.send(Hello(7, 9, mine.cluster, mine.name, mine.epoch, mine.run, mine.nonce, mine.address))
        (refusal,) = await stranger.ended()

    assert isinstance(refusal, Refusal)
    assert refusal.code == "protocol"
    assert "7 to 9" in refusal.reason


@pytest.mark.parametrize(
    ("cookie", "reason"),
    [
        (b"monster", "well-known"),
        (b"secret-cookie\n", "well-known"),
        (b"0123456789abcdef", "32 are the least"),
        (b"", "32 are the least"),
    ],
)
async def test_a_weak_cookie_is_refused_at_the_start_and_leaves_no_port_open(
    tmp_path: Path, cookie: bytes, reason: str
) -> None:
    """The error names the key, the file and the way out, and not the cookie."""
    path = tmp_path / "weak"
    node = Node(node_config("a", cluster=with_cookie(path, cookie)))
    with pytest.raises(ConfigError, match=reason) as raised:
        await node.start()

    (problem,) = raised.value.problems
    assert problem.path == "cluster.cookie_file"
    assert str(path) in problem.message
    assert "liminal cookie new" in problem.message
    with pytest.raises(RuntimeError, match="not running"):
        _ = node.addresses


@pytest.mark.parametrize("through", ["a", "b"])
async def test_a_second_node_with_a_live_name_does_not_start_and_disturbs_nobody(through: str) -> None:
    """Whether it meets the bearer of the name itself, or another node."""
    async with mesh(2) as (a, b):
        before = links_of(a)
        async with a.subscribe("ticks", wait="cluster") as ticks:
            seed = {"a": a, "b": b}[through]
            second = Node(node_config("a", [str(seed.addresses["mesh"])]))
            with pytest.raises(NameInUse, match="'a'") as raised:
                await second.start()
            assert str(a.addresses["mesh"]) in str(raised.value)

            assert links_of(a) == before
            await b.publish("ticks", "still here")
            assert (await message_of(ticks)).payload == "still here"


async def test_a_port_in_use_is_named_and_the_others_are_closed_again() -> None:
    """CN5: and the node that listens there goes on."""
    async with Node(node_config("a")) as a:
        taken = str(a.addresses["mesh"])
        second = Node(node_config("b", cluster={"listen": taken}))
        with pytest.raises(AddressInUse, match=f"mesh address {taken}"):
            await second.start()
        async with Node(node_config("c", [taken])) as c:
            await linked([a, c])


async def test_a_former_run_of_a_name_is_refused_with_the_later_one() -> None:
    """ME7: a stale epoch."""
    async with Node(node_config("a")) as a:
        async with RawPeer.to(a.addresses["mesh"]) as peer:
            await peer.join(hello("z", epoch=7))
        await until(a, lambda: not links_of(a))
        async with RawPeer.to(a.addresses["mesh"]) as former:
            await former.shake_hands(hello("z", epoch=6))
            refusal = await former.expect(Refusal)
            assert (refusal.code, refusal.known_epoch) == ("stale-epoch", 7)
            assert await former.ended() == []


async def test_a_node_whose_clock_went_back_is_refused_in_both_logs_and_starts_as_a_later_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """ME7: it is told which run is known, and no pid of its own was given to anyone by then."""
    caplog.set_level(logging.INFO, "liminal")
    back = replace(REAL, wall_ns=lambda: REAL.wall_ns() - 3600 * 10**9)
    async with Node(node_config("a")) as a:
        seeds = [str(a.addresses["mesh"])]
        async with Node(node_config("z", seeds)) as z:
            await linked([a, z])
            known = z.epoch
        async with Node(node_config("z", seeds), environment=back) as again:
            assert again.epoch == known + 1
            await linked([a, again])
            assert (await logged(caplog, "peer_refused", code="stale-epoch"))["peer"] == "z"
            assert (await logged(caplog, "refused_by_peer", code="stale-epoch"))["peer"] == "a"


async def test_two_nodes_that_dial_each_other_at_once_have_one_session() -> None:
    """And have made no more than two connections in vain."""
    async with raw_seed() as one, raw_seed() as other:
        ports = [one.address, other.address]
    async with AsyncExitStack() as stack:
        nodes = [
            Node(node_config(name, [peer], cluster={"listen": listen}))
            for name, listen, peer in (("a", ports[0], ports[1]), ("b", ports[1], ports[0]))
        ]
        await asyncio.gather(*(node.start() for node in nodes))
        for node in nodes:
            stack.push_async_callback(node.stop)
        await linked(nodes)

        a, b = nodes
        assert links_of(a)["b"] == links_of(b)["a"]
        for node in nodes:  # and it was never another one
            assert [event["kind"] for event in node.running.hub.events if "link" in str(event["kind"])] == ["link_up"]
        # Each data connection between the two has a number at both ends; a control connection, where it came in.
        assert all(node.running.hub.mesh is not None and node.running.hub.mesh._tags <= 3 + 2 for node in nodes)
