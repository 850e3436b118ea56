"""A frame of a peer that meets a defect of ours: its connection ends, the log says which it was, the mesh goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from .effects import Notice
from .notices import Notices
from .wire import Wire

__all__ = ["Crashes"]

CRASHED: Final = "a frame met a defect of this node"


class Crashes:
    """Those of one kind of links.

    Args:
        tell: hears of them; of one peer now and then.
    """

    def __init__(self, tell: Callable[[Notice], None]) -> None:
        self._tell = tell
        self._notices = Notices()

    def met(self, wire: Wire, peer: str, kind: int, error: Exception, now: float) -> None:
        """End the connection on which a frame of type ``kind`` came; ``peer`` is "" while it is a stranger's."""
        facts = {"peer": peer, "from": wire.peer_address, "frame": f"{kind:#04x}"}
        notice = self._notices.take("error", "link_crashed", wire.peer_host, now, **facts)
        if notice is not None:
            self._tell(replace(notice, error=error))
        wire.abort(CRASHED)
