"""The metrics of a node."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from liminal_mesh.cluster import Member, MemberState
from liminal_mesh.node import channel_metrics as module
from liminal_mesh.node import metrics
from liminal_mesh.node.channel_metrics import OTHER
from liminal_mesh.node.dedup import Claim
from liminal_mesh.node.errors import KeyReused, LimitExceeded
from liminal_mesh.node.metrics import Metrics
from liminal_mesh.node.node import Node

from ..nodes import linked, mesh, node_config, until

PAGE = Path(__file__).parents[2] / "docs/metrics.md"

Row = tuple[str, str, frozenset[str], str]
"""A metric's name, type and labels, and what is said of it."""

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(page: bytes) -> Series:
    """Return the samples of a page by name and labels; each may be there once."""
    found: Series = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


async def scrape(node: Node) -> Series:
    return series((await Metrics(node.running).node())[0])


def documented(heading: str) -> set[Row]:
    """Return the rows of the table below a heading of the page."""
    section = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \| (.+) \|$", section, re.MULTILINE)
    rows = {(name, kind, frozenset(re.findall(r"\w+", labels)), text) for name, kind, labels, text in found}
    assert len(rows) == len({name for name, *_ in rows}), "a metric stands there twice"
    return rows


def measured(page: bytes) -> set[Row]:
    """Return the same of what a node has served; ``_created`` comes with a histogram, and says nothing of its own."""
    families = list(text_string_to_metric_families(page.decode()))
    return {
        (
            f"{family.name}_total" if family.type == "counter" else family.name,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels) - {"le"},
            family.documentation,
        )
        for family in families
        if not family.name.startswith("process_") and not family.name.endswith("_created")
    }


def written(rows: set[Row]) -> str:
    """Return rows as the page has them."""
    return "\n".join(
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in sorted(labels))} | {text} |"
        for name, kind, labels, text in sorted(rows, key=lambda row: row[0])
    )


async def test_what_is_measured_is_what_the_page_says() -> None:
    """Dashboards and alerts are built on it: names may be added to the page, none may go, nor change type or labels."""
    watched = {"name": "ticks", "pressure": [{"at": 0.5, "alert": "info"}]}
    async with mesh(2, channels=[watched]) as (a, _):
        a.running.server.refusals["handshake"] = 1
        peering, control = a.running.peering, a.running.control
        assert peering is not None
        assert control is not None
        control.refusals["protocol"] = 1
        await until(a, lambda: peering.sessions()["b"].rtt_s is not None)
        await a.publish("ticks", b"x")
        pages = {
            "The node": (await Metrics(a.running).node())[0],
            "Channels": (await Metrics(a.running).channels())[0],
        }

    for heading, page in pages.items():
        there, said = measured(page), documented(heading)
        assert there == said, f"docs/metrics.md lacks\n{written(there - said)}\nand has\n{written(said - there)}"


async def test_every_metric_says_what_it_is() -> None:
    """A help line each, and counters are typed as such."""
    async with mesh(1) as (a,):
        page, kind = await Metrics(a.running).node()

    assert kind.startswith("text/plain")
    for family in text_string_to_metric_families(page.decode()):
        assert family.documentation, family.name
        assert family.type == "counter" or not any(sample.name.endswith("_total") for sample in family.samples)


async def test_the_numbers_are_those_of_the_bus() -> None:
    """Published here, received and delivered there."""
    async with mesh(2) as (a, b), b.subscribe("ticks", wait="cluster"), b.subscribe("*", wait="cluster"):
        for _ in range(3):
            await a.publish("ticks", b"x", ack="nodes")
        here, there = await scrape(a), await scrape(b)

        assert here["liminal_publish_total", (("result", "accepted"),)] == 3
        assert here["liminal_members", (("state", "alive"),)] == 2
        assert here["liminal_members", (("state", "dead"),)] == 0
        assert here["liminal_peer_link_up", (("peer", "b"),)] == 1
        assert here["liminal_peer_bytes_total", (("direction", "out"), ("peer", "b"))] > 0
        assert here["liminal_registry_entries", ()] == 2
        assert here["liminal_ready", ()] == 1
        assert there["liminal_received_total", ()] == 3
        assert there["liminal_delivered_total", ()] == 6
        assert there["liminal_inbox_messages", ()] == 6
        assert there["liminal_subscriptions", ()] == 2
        assert there["liminal_publish_total", (("result", "accepted"),)] == 0


async def test_links_that_are_made_again_and_members_that_change_are_counted() -> None:
    """By how."""
    async with mesh(2) as (a, b):
        links = a.running.hub.mesh.links if a.running.hub.mesh is not None else {}
        assert (await scrape(a))["liminal_peer_link_reconnects_total", ()] == 0
        former = links["b"]
        former.wire.abort("a test cuts it")
        await until(a, lambda: links.get("b") not in {None, former})
        await b.stop()
        await until(a, lambda: {one.name: one.state for one in a.running.members()}["b"] == "left")
        async with Node(node_config("b", [str(a.addresses["mesh"])])) as another_run:
            await linked([a, another_run])
            page = await scrape(a)

    assert page["liminal_peer_link_reconnects_total", ()] == 1
    changes = {tuple(dict(labels).values()): n for (name, labels), n in page.items() if "membership_changes" in name}
    assert changes["none", "alive"] == 1
    assert sum(changes[key] for key in changes if key[1] == "left") == 1


async def test_peers_have_series_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """TR2: who has left has none, and those that live go before the dead: nodes with names of a day do not add up."""
    monkeypatch.setattr(metrics, "PEERS_MAX", 3)
    states: dict[str, MemberState] = {"b": "dead", "c": "left", "d": "alive", "e": "suspect", "f": "dead", "g": "dead"}
    async with mesh(1) as (a,):
        gone = tuple(Member(name, 1, 0, state, False, False, "") for name, state in states.items())
        monkeypatch.setattr(type(a.running), "members", lambda _run: gone)
        page = await scrape(a)
    assert [dict(labels)["peer"] for name, labels in page if name == "liminal_peer_link_up"] == ["d", "e", "b"]
    assert page["liminal_members", (("state", "dead"),)] == 3


async def test_what_became_of_keys_is_counted() -> None:
    """Claimed, duplicates, reused and without room here; suppressed there; what nobody took was released."""
    async with mesh(2, limits={"dedup_keys": 2}) as (a, b), b.subscribe("ticks", wait="cluster"):
        await a.publish("m.x", b"x", key="nobody")
        for _ in range(2):
            await a.publish("ticks", b"x", key="k")
        await b.publish("ticks", b"x", key="l")
        await a.publish("ticks", b"x", key="l")
        assert not a.running.hub.shared.keys.dedup.release(Claim("ticks", "k", b"", 0.0)), "it was completed"
        for key, error in (("k", KeyReused), ("more", LimitExceeded)):
            with pytest.raises(error):
                await a.publish("ticks", b"y", key=key)
        here, there = await scrape(a), await scrape(b)

    keyed = {dict(labels)["result"]: value for (name, labels), value in here.items() if "keyed" in name}
    assert keyed == {"claimed": 3, "duplicate": 1, "in-flight": 0, "reused": 1, "no-room": 1, "suppressed": 0}
    assert there["liminal_keyed_publish_total", (("result", "suppressed"),)] == 1
    assert here["liminal_keys", (("state", "remembered"),)] == 2
    assert here["liminal_keys", (("state", "in-flight"),)] == 0
    assert here["liminal_key_releases_total", (("result", "released"),)] == 1
    assert here["liminal_key_releases_total", (("result", "failed"),)] == 1, "DD3: a release that fails is loud"


async def test_two_nodes_in_one_process_do_not_share() -> None:
    """TR2: each names itself."""
    async with mesh(2) as (a, b):
        names = [dict(labels)["node"] for node in (a, b) for name, labels in await scrape(node) if "_info" in name]
    assert names == ["a", "b"]


async def test_a_name_cannot_be_registered_twice() -> None:
    """TR2: a second metric of the same name would make the page invalid."""

    class Again(Collector):
        def collect(self) -> list[Metric]:
            return [Metric("liminal_ready", "Again.", "gauge")]

    async with mesh(1) as (a,):
        with pytest.raises(ValueError, match="liminal_ready"):
            Metrics(a.running).registry.register(Again())


async def test_channels_have_series_of_their_own_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that were used keep theirs; all others share one."""
    monkeypatch.setattr(module, "CHANNELS_MAX", 2)
    async with mesh(1) as (a,), a.subscribe("m.2"), a.subscribe("m.*"):
        for number in (2, 0, 3, 1, 3):
            await a.publish(f"m.{number}", b"x")
        page = series((await Metrics(a.running).channels())[0])
        asked = series((await Metrics(a.running).channels(["m.3", "m.9", "m.3"]))[0])

    published = {dict(labels)["channel"]: n for (name, labels), n in page.items() if name.endswith("published_total")}
    assert published == {"m.2": 1, "m.0": 1, OTHER: 3}
    assert page["liminal_channel_subscribers", (("channel", "m.2"),)] == 2
    assert page["liminal_channel_subscribers", (("channel", OTHER),)] == 2
    assert {dict(labels)["channel"] for _, labels in asked} == {"m.3"}
    assert asked["liminal_channel_published_total", (("channel", "m.3"),)] == 2
    assert asked["liminal_channel_subscribers", (("channel", "m.3"),)] == 1


async def test_a_channel_tells_what_its_subscriptions_hold() -> None:
    """TR2: in flight up to their credit, buffered behind that; a subscription counts for each channel that it gets."""
    async with (
        mesh(1) as (a,),
        a.subscribe("m.1", max_in_flight=2) as one,
        a.subscribe("m.*", max_in_flight=3),
    ):
        for _ in range(4):
            await a.publish("m.1", b"x")
        await a.publish("m.2", b"x")
        await anext(one)
        page = series((await Metrics(a.running).channels())[0])

    held = {
        channel: [
            page[f"liminal_channel_{what}", (("channel", channel),)]
            for what in ("subscribers", "in_flight", "buffered")
        ]
        for channel in ("m.1", "m.2")
    }
    assert held == {"m.1": [2, 2 + 3, 2 + 2], "m.2": [1, 3, 2]}


async def test_a_channel_that_has_failed_is_on_the_page_too() -> None:
    """It has crashed, and nobody gets it any more."""
    async with mesh(1) as (a,):
        await a.publish("ticks", b"x")
        a.running.hub.exchange.resolve("ticks").fail("error: planted")
        page = series((await Metrics(a.running).channels())[0])

    assert page["liminal_channel_crashes_total", (("channel", "ticks"),)] == 1
    assert page["liminal_channel_published_total", (("channel", "ticks"),)] == 1
    assert page["liminal_channel_subscribers", (("channel", "ticks"),)] == 0


async def test_text_of_others_is_escaped() -> None:
    """TR2: a refusal's code is ours today; the page must hold whatever comes."""
    awkward = 'a"b\\c\nd'
    async with mesh(1) as (a,):
        a.running.server.refusals[awkward] = 7
        page = await scrape(a)
    assert page["liminal_client_refusals_total", (("reason", awkward),)] == 7


@pytest.mark.parametrize(
    "accept",
    ["application/openmetrics-text; version=1.0.0", "application/openmetrics-text", "text/plain;version=0.0.4"],
)
async def test_the_format_is_the_one_that_was_asked_for(accept: str) -> None:
    """OpenMetrics ends with a mark of its own."""
    async with mesh(1) as (a,):
        page, kind = await Metrics(a.running).node(accept)
    assert kind.split(";")[0] == accept.split(";")[0]
    assert page.endswith(b"# EOF\n") == ("openmetrics" in accept)
    if "openmetrics" in accept:
        assert list(open_metrics(page.decode()))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "text/plain; version=;escaping=?", ";;,"]
)
async def test_nonsense_in_the_accept_header_gets_the_plain_page(accept: str) -> None:
    """It is no error of the node."""
    async with mesh(1) as (a,):
        page, _ = await Metrics(a.running).node(accept)
    assert b"liminal_ready 1.0" in page
