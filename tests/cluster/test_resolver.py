"""The resolver against a real DNS server on loopback, and how its answers become addresses."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from liminal_mesh.cluster.dns import TRIES, TRY_S, DnsResolver
from liminal_mesh.cluster.options import PeeringOptions
from liminal_mesh.cluster.pipe_network import PipeNetwork
from liminal_mesh.cluster.resolver import Record, Resolution, resolve
from liminal_mesh.cluster.seeds import parse_seed

from ..dns.server import DnsServer

HOST = "mesh.test"
SEED = f"dns://{HOST}:7601"
SERVICE = "srv://_mesh._tcp.test"


@pytest.fixture(scope="module")
def server() -> Iterator[DnsServer]:
    """One server; each test puts its own zone in force."""
    with DnsServer() as running:
        yield running


PATIENCE_S = 10.0
"""Far more than a resolver takes that gives up by itself."""


async def ask(server: DnsServer, seed: str = SEED) -> Resolution:
    """Look a seed up."""
    return await resolve(DnsResolver([server.address]), parse_seed(seed), PATIENCE_S)


async def test_a_name_stands_for_its_addresses_of_both_families(server: DnsServer) -> None:
    """One that has no IPv6 addresses is no failure."""
    server.zone({HOST: {"A": ["127.0.0.1", "127.0.0.2"], "AAAA": ["::1"]}, "four.test": {"A": ["127.0.0.4"]}})

    both, four = await ask(server), await ask(server, "dns://four.test:7601")

    assert sorted(both.addresses) == ["127.0.0.1:7601", "127.0.0.2:7601", "[::1]:7601"]
    assert (four.addresses, four.failure) == (("127.0.0.4:7601",), "")
    assert [(answer.kind, len(answer.records), answer.failure) for answer in four.answers] == [
        ("A", 1, ""),
        ("AAAA", 0, ""),
    ]


async def test_a_service_stands_for_the_addresses_of_its_hosts(server: DnsServer) -> None:
    """With the ports of its records, those of the best priority first."""
    server.zone(
        {
            "_mesh._tcp.test": {"SRV": [[20, 0, 7603, "b.test"], [10, 0, 7601, "a.test"], [30, 0, 7605, "gone.test"]]},
            "a.test": {"A": ["127.0.0.1"]},
            "b.test": {"A": ["127.0.0.2"]},
        }
    )

    found = await ask(server, SERVICE)

    assert found.addresses == ("127.0.0.1:7601", "127.0.0.2:7603")
    assert found.failure == ""
    assert [(answer.name, answer.failure) for answer in found.answers if answer.failure] == [
        ("gone.test", "NXDOMAIN"),
        ("gone.test", "NXDOMAIN"),
    ]


@pytest.mark.parametrize(
    ("zone", "failure"),
    [
        ({}, "NXDOMAIN"),
        ({HOST: "servfail"}, "SERVFAIL"),
        ({HOST: "refused"}, "REFUSED"),
        ({HOST: "silent"}, "timeout"),
        ({HOST: {}}, "no A and no AAAA records"),
        ({HOST: {"silent": ["AAAA"]}}, "timeout"),
    ],
    ids=str,
)
async def test_each_failure_has_a_name(server: DnsServer, zone: dict[str, object], failure: str) -> None:
    """And comes within the time that the mesh gives it."""
    server.zone(zone)
    begin = time.monotonic()

    found = await ask(server)

    assert (found.addresses, found.failure) == ((), failure)
    assert time.monotonic() - begin < PeeringOptions("c", "a:1").resolve_s


@pytest.mark.parametrize(
    ("zone", "failure"),
    [
        ({}, "NXDOMAIN"),
        ({"_mesh._tcp.test": {}}, "no SRV records"),
        ({"_mesh._tcp.test": {"SRV": [[0, 0, 7601, ""]]}}, "no SRV records"),
        ({"_mesh._tcp.test": {"SRV": [[0, 0, 7601, "a.test"]]}}, "a.test: NXDOMAIN"),
    ],
    ids=str,
)
async def test_each_failure_of_a_service_has_a_name(server: DnsServer, zone: dict[str, object], failure: str) -> None:
    """A record whose host is the root says that there is no such service."""
    server.zone(zone)

    assert (await ask(server, SERVICE)).failure == failure


async def test_a_family_that_is_not_answered_takes_nothing_from_the_other(server: DnsServer) -> None:
    """Some servers never answer for IPv6."""
    server.zone({HOST: {"A": ["127.0.0.1"], "silent": ["AAAA"]}})

    found = await ask(server)

    assert (found.addresses, found.failure) == (("127.0.0.1:7601",), "")


async def test_a_truncated_answer_is_asked_for_over_tcp(server: DnsServer) -> None:
    """A large mesh does not fit into a datagram."""
    server.zone({HOST: {"mode": "truncate", "A": [f"127.0.1.{number}" for number in range(100)]}})

    assert len((await ask(server)).addresses) == 100
    server.zone({})
    assert (HOST, "A", "tcp") in server.queries


async def test_a_changed_answer_is_seen_at_once_whatever_its_time_to_live(server: DnsServer) -> None:
    """The last answer may be kept for a day, but it is just what is doubted."""
    resolver, seed = DnsResolver([server.address]), parse_seed(SEED)
    for address in ("127.0.0.1", "127.0.0.2"):
        server.zone({HOST: {"A": [address], "ttl": 86_400}})
        assert (await resolve(resolver, seed, PATIENCE_S)).addresses == (f"{address}:7601",)
    server.zone({})
    assert (await resolve(resolver, seed, PATIENCE_S)).failure == "NXDOMAIN"


async def test_names_of_the_hosts_file_need_no_server(server: DnsServer) -> None:
    """As everybody on this machine resolves them."""
    server.zone({"localhost": {"A": ["192.0.2.1"]}})

    assert "127.0.0.1:7601" in (await ask(server, "dns://localhost:7601")).addresses


async def test_nobody_at_the_servers_address_is_a_failure() -> None:
    """Not an exception."""
    found = await resolve(DnsResolver(["127.0.0.1:1"]), parse_seed(SEED), PATIENCE_S)

    assert found.addresses == ()
    assert found.failure


async def test_a_lookup_that_is_given_up_and_a_thousand_others_leave_nothing_behind(server: DnsServer) -> None:
    """Each has a thread and sockets of its own while it lasts."""
    server.zone({HOST: {"A": ["127.0.0.1"]}, "mute.test": "silent"})
    await ask(server)
    before = _held()
    for _ in range(25):
        await asyncio.gather(*(ask(server) for _ in range(40)))
    lookup = asyncio.create_task(ask(server, "dns://mute.test:7601"))
    await asyncio.wait([lookup], timeout=TRY_S / 2)
    lookup.cancel()
    await asyncio.wait([lookup])
    assert lookup.cancelled()

    deadline = time.monotonic() + 10 * TRIES * TRY_S
    while any(now > then for now, then in zip(_held(), before, strict=True)):
        assert time.monotonic() < deadline, (_held(), before)
        await asyncio.sleep(0.05)


def _held() -> tuple[int, int]:
    tasks, files = (len(list(Path(f"/proc/self/{kind}").iterdir())) for kind in ("task", "fd"))
    return tasks, files


async def test_names_in_memory_are_answered_alike() -> None:
    """What is tested with the network in memory holds with servers."""
    network = PipeNetwork()
    network.names = {
        HOST: {"A": [Record("127.0.0.1")]},
        "_mesh._tcp.test": {"SRV": [Record(HOST, 7605)]},
        "slow.test": "timeout",
    }
    host = network.host("h")

    assert (await resolve(host, parse_seed(SEED), PATIENCE_S)).addresses == ("127.0.0.1:7601",)
    assert (await resolve(host, parse_seed(SERVICE), PATIENCE_S)).addresses == ("127.0.0.1:7605",)
    assert (await resolve(host, parse_seed("dns://slow.test:1"), PATIENCE_S)).failure == "timeout"
    assert (await resolve(host, parse_seed("dns://nobody:1"), PATIENCE_S)).failure == "NXDOMAIN"
