"""The resolver that asks real DNS servers, and reads ``/etc/hosts`` first as everybody does.

c-ares keeps answers for as long as they allow and would give them again without a question, so each lookup has a
channel of its own, that knows nothing yet. All tries together end before whoever asked gives up.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .resolver import Answer, Record, RecordKind

if TYPE_CHECKING:
    import aiodns

__all__ = ["DnsResolver"]

TRY_S: Final = 0.7
"""What the first try of a question may take."""

TRIES: Final = 2
"""How often each server is asked."""

_FAMILIES: Final = {"A": socket.AF_INET, "AAAA": socket.AF_INET6}


class DnsResolver:
    """Asks DNS servers through c-ares; see :class:`.Resolver`.

    Args:
        servers: their addresses with ports; those of the system when there are none.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = tuple(servers)

    async def lookup(self, name: str, kinds: Sequence[RecordKind]) -> tuple[Answer, ...]:
        """Ask for the records of a name; see :meth:`.Resolver.lookup`."""
        import aiodns  # a node without names to look up does not pay for it
        import pycares

        try:
            resolver = aiodns.DNSResolver(self._servers or None, timeout=TRY_S, tries=TRIES)
        except (pycares.AresError, OSError) as error:
            return tuple(Answer(name, kind, (), f"no resolver: {error}") for kind in kinds)
        try:
            return tuple(await asyncio.gather(*(_ask(resolver, name, kind) for kind in kinds)))
        finally:
            await resolver.close()


async def _ask(resolver: aiodns.DNSResolver, name: str, kind: RecordKind) -> Answer:
    import aiodns
    import pycares

    try:
        if kind == "SRV":
            records = _services((await resolver.query_dns(name, kind)).answer)
        else:
            found = await resolver.getaddrinfo(name, family=_FAMILIES[kind], type=socket.SOCK_STREAM)
            records = tuple(Record(node.addr[0].decode()) for node in found.nodes)
    except aiodns.error.DNSError as error:
        code, text = error.args
        if code == pycares.errno.ARES_ENODATA:
            return Answer(name, kind, ())
        return Answer(name, kind, (), _FAILURES.get(pycares.errno.errorcode.get(code, ""), str(text)))
    except UnicodeError:
        return Answer(name, kind, (), "no name that can be looked up")
    return Answer(name, kind, records)


_FAILURES: Final = {
    "ARES_ENOTFOUND": "NXDOMAIN",
    "ARES_ESERVFAIL": "SERVFAIL",
    "ARES_EREFUSED": "REFUSED",
    "ARES_ETIMEOUT": "timeout",
}


def _services(answer: Sequence[object]) -> tuple[Record, ...]:
    import pycares

    services = [record.data for record in answer if isinstance(record, pycares.DNSRecord)]
    return tuple(
        Record(data.target.rstrip("."), data.port, data.priority)
        for data in services
        if isinstance(data, pycares.SRVRecordData)  # beside a CNAME that led there
    )
