"""The scopes of the mesh: what a name can be the name of.

A name in two scopes never meets: each scope has its own log in the registry, and its own publishes.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

__all__ = ["CHANNEL_SCOPE", "GROUP_SCOPE", "QUEUE_SCOPE", "SCOPES", "Scope"]

SCOPES: Final = ("channel", "subject", "consumer", "group", "queue")
"""The scopes; frames carry the index."""

CHANNEL_SCOPE: Final = SCOPES.index("channel")
"""Subscriptions; the only scope in which groups may be named by patterns."""

GROUP_SCOPE: Final = SCOPES.index("group")
"""The users' process groups."""

QUEUE_SCOPE: Final = SCOPES.index("queue")
"""Subscriptions that share what is published, each of a pattern and a group; named by :mod:`.queue_names`."""

Scope = Annotated[int, Meta(ge=0, le=len(SCOPES) - 1)]
"""A scope in a frame; it came later than the frames that have it, and is left out when it is that of channels."""
