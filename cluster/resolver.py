"""Looking up what a seed stands for: what is asked of a resolver, and how its answers become addresses.

``dns`` asks real servers, ``pipe_network`` answers in memory; whatever is above cannot tell them apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from .identity import Address
from .seeds import Seed

__all__ = ["Answer", "Record", "RecordKind", "Resolution", "Resolver", "resolve"]

RecordKind = Literal["A", "AAAA", "SRV"]
"""What is asked of a name."""

_HOSTS_MAX: Final = 64
"""How many hosts of one service are looked up."""


class Record(NamedTuple):
    """One record: an address, or a host with the port and priority that the service's record gives it."""

    host: str
    port: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question. Neither records nor a failure: the name exists, without records of that kind.

    ``failure`` is ``NXDOMAIN`` (no such name), ``SERVFAIL``, ``REFUSED``, ``timeout``, or words.
    """

    name: str
    kind: RecordKind
    records: tuple[Record, ...]
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a seed stands for: addresses to dial, or why there are none, and every answer that told it."""

    addresses: tuple[str, ...]
    failure: str
    answers: tuple[Answer, ...]


class Resolver(Protocol):
    """Whoever answers for names; it asks anew each time, since yesterday's answer is what is doubted."""

    async def lookup(self, name: str, kinds: Sequence[RecordKind]) -> tuple[Answer, ...]:
        """Ask for the records of a name; one answer for each kind. Failures are answers too. It ends by itself."""


async def resolve(resolver: Resolver, seed: Seed, timeout_s: float) -> Resolution:
    """Look up a seed; a static one stands for itself. What takes longer than so many seconds has failed."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _resolve(resolver, seed)
    except TimeoutError:
        return Resolution((), "timeout", ())


async def _resolve(resolver: Resolver, seed: Seed) -> Resolution:
    if seed.kind == "static":
        return Resolution((seed.text,), "", ())
    if seed.kind == "dns":
        answers = await resolver.lookup(seed.host, ("A", "AAAA"))
        return Resolution(_addresses(answers, seed.port), _failure(answers), answers)
    (service,) = await resolver.lookup(seed.host, ("SRV",))
    hosts = [record for record in service.records if record.host not in {"", "."} and record.port]
    if not hosts:
        return Resolution((), service.failure or "no SRV records", (service,))
    hosts = sorted(hosts, key=lambda record: record.priority)[:_HOSTS_MAX]
    found = await asyncio.gather(*(resolver.lookup(record.host, ("A", "AAAA")) for record in hosts))
    listed = [at for record, answers in zip(hosts, found, strict=True) for at in _addresses(answers, record.port)]
    failures = [
        f"{record.host}: {failure}"
        for record, answers in zip(hosts, found, strict=True)
        if (failure := _failure(answers))
    ]
    everything = (service, *(answer for answers in found for answer in answers))
    return Resolution(tuple(dict.fromkeys(listed)), "" if listed else "; ".join(failures), everything)


def _addresses(answers: Sequence[Answer], port: int) -> tuple[str, ...]:
    hosts = dict.fromkeys(record.host for answer in answers for record in answer.records)
    return tuple(str(Address(host, port)) for host in hosts)


def _failure(answers: Sequence[Answer]) -> str:
    """Return why there are no addresses: one family without any is no failure, nor is one that was not answered."""
    if any(answer.records for answer in answers):
        return ""
    failures = dict.fromkeys(answer.failure for answer in answers if answer.failure)
    return " / ".join(failures) or "no A and no AAAA records"
