"""The life of ``liminal serve``: start, say what is open, wait for an end, drain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from liminal_mesh.cluster import Address

from ..logs import get_logger
from ..node import Node
from ..readiness import conditions
from .errors import Code
from .reloading import Reloader

if TYPE_CHECKING:
    from ..config_sources import LoadedConfig

__all__ = ["Requests", "run_node"]

log = get_logger("serve")


class Requests:
    """Who wants something of the node: to stop (first it drains, the second time it does not), or to reload."""

    def __init__(self, until_eof: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self.first: asyncio.Future[str] = self._loop.create_future()
        self.second: asyncio.Future[str] = self._loop.create_future()
        self.reloader: Reloader | None = None
        """Takes the configuration again, once the node runs."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.ask, number.name)
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        if until_eof:
            threading.Thread(target=self._read_to_the_end, name="until-eof", daemon=True).start()

    def ask(self, reason: str) -> None:
        """Ask for the end."""
        if not self.first.done():
            self.first.set_result(reason)
        elif not self.second.done():
            self.second.set_result(reason)

    def _hang_up(self) -> None:
        if self.reloader is None or self.first.done():
            log.warning("reload_ignored", why="the node stops" if self.first.done() else "the node has not started yet")
        else:
            self.reloader.reload()

    def _read_to_the_end(self) -> None:
        # The loop cannot wait for a file, and the lock of sys.stdin is wanted by the interpreter when it exits.
        while os.read(sys.stdin.fileno(), 65536):
            pass
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end_of_input)

    def _end_of_input(self) -> None:
        if not self.first.done():
            self.first.set_result("end of input")


async def run_node(config: LoadedConfig, load: Callable[[], LoadedConfig], until_eof: bool = False) -> int:
    """Run a node until it is told to stop, or fails; return the exit code. ``load`` reads its configuration again.

    Raises:
        LiminalError: it does not start.
        OSError: an address is none of this machine's, or a folder cannot be used.
    """
    requests = Requests(until_eof)
    node = Node(config)
    start = asyncio.create_task(node.start())
    await _first_of(start, requests.first)
    if not start.done():
        log.info("stopped", why=requests.first.result(), drained=True)
        return await _abandon(start)
    start.result()
    requests.reloader = Reloader(node, load)
    _say_what_is_open(node)
    failure = asyncio.create_task(_failure(node))
    await _first_of(failure, requests.first)
    if failure.done():
        log.error("node_failed", error=str(failure.result()))
        why = "the node failed"
        return await _drain(node, requests, why, why) or Code.FAILED
    failure.cancel()
    return await _drain(node, requests, "shutdown", requests.first.result())


async def _first_of(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


async def _abandon(start: asyncio.Task[None]) -> int:
    start.cancel()
    await asyncio.wait({start})
    return Code.OK


async def _failure(node: Node) -> Exception:
    """Wait until the node cannot go on; return why."""
    hub = node.running.hub
    await hub.until(lambda: hub.failure is not None, float("inf"))
    assert hub.failure is not None
    return hub.failure


async def _drain(node: Node, requests: Requests, reason: str, why: str) -> int:
    """Let the node leave, unless it is told a second time to end; return the exit code.

    Its clients and its peers hear the reason, and the log says why.
    """
    stop = asyncio.create_task(node.stop(reason))
    await _first_of(stop, requests.second)
    if not stop.done():
        log.warning("stopped", why=f"{requests.second.result()} while draining", drained=False)
        return Code.INTERRUPTED
    drained = stop.result()
    (log.info if drained else log.warning)("stopped", why=why, drained=drained)
    return Code.OK if drained else Code.FAILED


def _say_what_is_open(node: Node) -> None:
    """Log one line with every address, and one for whatever its owner should know about."""
    config = node.config
    addresses: dict[str, Any] = {name: str(address) for name, address in node.addresses.items()}
    log.info("listening", node=node.name, epoch=str(node.epoch), pid=os.getpid(), **addresses)
    for name, address in node.addresses.items():
        _warn_if_open(name, address, bool(config.cluster and config.cluster.cookie_paths))
    if config.cluster is None:
        log.info("alone", why="there is no [cluster] section and no --seed or --mesh: no mesh port is open")
    elif not config.cluster.cookie_paths:
        log.warning("no_cookie", why="any program on this machine may join: cluster.cookie_file names a secret")
    _say_who_is_missing(node)
    if not config.channels:
        log.warning("no_channels", why="every publish will be refused: declare [[channels]], or use --channel")
    if config.data_dir is None:
        log.info("nothing_is_kept", why="there is no data_dir: a name that was not configured ends with this process")


def _say_who_is_missing(node: Node) -> None:
    """Log which seeds have failed, when nobody was found at all; a first node looks just like a lost one."""
    for one in conditions(node.running):
        failed = {key: one.detail.get(key) for key in ("unresolved", "unreached") if one.detail.get(key)}
        if failed and one.detail.get("linked") == 1:
            log.info(
                "no_peers", **failed, why="no seed leads to a node yet: they are tried on; liminal doctor says more"
            )


def _warn_if_open(name: str, address: Address, has_cookie: bool) -> None:
    if address.loopback:
        return
    if name == "mesh":
        said = "peers prove that they hold the cookie, but nothing is encrypted" if has_cookie else "anyone may join"
    else:
        said = "whoever reaches it may do everything: there are no tokens and no TLS in this version"
    log.warning("insecure_listener", listener=name, address=str(address), why=said)
