"""The one check that every verb calls before it does anything.

There are no tokens yet, so everything is allowed, which is why nothing but loopback is listened on unless the
configuration says otherwise in words. Whoever brings tokens replaces :func:`allow_all`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from liminal_mesh.cluster import CHANNEL_SCOPE, GROUP_SCOPE, Pid

__all__ = ["PUBLISH_VERBS", "Permit", "allow_all"]

Permit = Callable[[Pid, str, str], None]
"""Called as ``permit(who, verb, name)``: the process that asks (a connection, or the node itself), the verb
(``publish``, ``subscribe``, ``ready``; ``members``, ``watch_members``; ``spawn``, ``link``, ``monitor``; ``join``,
``send_group``, ``group_members``, ``watch_group``), and the channel, pattern or group ("" where there is none).
Raises NotAuthorized."""

PUBLISH_VERBS: Final = {CHANNEL_SCOPE: "publish", GROUP_SCOPE: "send_group"}
"""Scope to the verb that publishes in it."""


def allow_all(who: Pid, verb: str, name: str) -> None:
    """Permit everything."""
    del who, verb, name
