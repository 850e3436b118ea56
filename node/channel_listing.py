"""The channels of a node as values: what they are, and who has subscribed to them in the whole mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import CHANNEL_SCOPE, QUEUE_SCOPE, Pid, Registry, TokenTrie, split_queue

from .names import is_pattern
from .values import ChannelInfo
from .versions import offered_versions

if TYPE_CHECKING:
    from .channel import Channel, ChannelSettings
    from .hub import Hub

__all__ = ["channel_info", "channel_infos", "sharing"]


def channel_infos(hub: Hub) -> tuple[ChannelInfo, ...]:
    """Return the channels that are declared by name, those that are or were in use, and then the families; by name."""
    table = hub.exchange.channels
    names = {one.name for one in table.declared.all()} | table.channels.keys()
    return _infos(hub, sorted(names, key=lambda name: (is_pattern(name), name)))


def channel_info(hub: Hub, name: str) -> ChannelInfo:
    """Return one of them, which must be there."""
    [found] = _infos(hub, [name])
    return found


def sharing(registry: Registry, name: str) -> dict[str, list[Pid]]:
    """Return those that share what is published on a channel, by group."""
    found: dict[str, list[Pid]] = {}
    for queue in registry.queues_of(name):
        found.setdefault(split_queue(queue)[1], []).extend(registry.members(QUEUE_SCOPE, queue))
    return found


def _infos(hub: Hub, names: list[str]) -> tuple[ChannelInfo, ...]:
    table, subscribers = hub.exchange.channels, _Subscribers(hub.registry)
    found = []
    for name in names:
        used = table.channels.get(name)
        settings = used.settings if used is not None else table.declared_as(name)
        found.append(_info(hub.me.name, name, settings, used, subscribers.of(name)))
    return tuple(found)


def _info(here: str, name: str, settings: ChannelSettings, used: Channel | None, everywhere: list[Pid]) -> ChannelInfo:
    versions = offered_versions(settings)
    return ChannelInfo(
        name,
        settings.durable,
        versions[0] if versions else None,
        versions,
        _state(name, used),
        used.failed if used is not None else "",
        len(everywhere),
        sum(1 for pid in everywhere if pid.node == here),
        tuple(sorted({pid.node for pid in everywhere})),
        used.sequence if used is not None else 0,
        used.restarts.count if used is not None and used.restarts is not None else 0,
        used.pid if used is not None else None,
        used is not None,
    )


def _state(name: str, used: Channel | None) -> str:
    if is_pattern(name):
        return "family"
    if used is not None and used.ended:
        return "closed" if used.closed else "failed"
    return "open"


class _Subscribers:
    """Who gets what is published on a channel, for many channels."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._groups = registry.groups(CHANNEL_SCOPE)
        self._patterns = TokenTrie()
        for name in filter(is_pattern, self._groups):
            self._patterns.add(name)

    def of(self, name: str) -> list[Pid]:
        if is_pattern(name):
            return list(self._groups.get(name, ()))
        sharing_it = [pid for pids in sharing(self._registry, name).values() for pid in pids]
        return [*(pid for one in (name, *self._patterns.match(name)) for pid in self._groups.get(one, ())), *sharing_it]
