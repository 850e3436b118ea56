"""What the membership machine asks its driver to do, as frozen values, in order.

A :class:`..membership.MemberChanged` among them says what became true; the others are deeds that nobody has done yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..identity import NodeId
from ..membership import MemberChanged
from ..swim_frames import MemberRecord, SwimFrame

__all__ = ["Admit", "CloseLink", "Departed", "DialAddress", "Doubt", "Refuse", "SendTo", "Superseded", "SwimEffect"]


@dataclass(frozen=True, slots=True)
class SendTo:
    """Put this frame on the control link to ``name``."""

    name: str
    frame: SwimFrame


@dataclass(frozen=True, slots=True)
class DialAddress:
    """Open a control link to ``address``, and report it as linked, or how it failed.

    ``name`` is the member that is expected there (empty: a seed, whoever answers).
    """

    address: str
    name: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the link to a member from which nothing has come for long after its death."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """A member did not answer us in time; others are asked. Whatever else leads to it deserves a look."""

    name: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the link of ``newcomer``.

    Its name belongs to ``bearer``, which has just shown that it lives or is a later run; or (None) there is no room
    for one more name. A run that is refused for a later one is over.
    """

    newcomer: NodeId
    bearer: MemberRecord | None


@dataclass(frozen=True, slots=True)
class Admit:
    """Report the link of ``newcomer`` again, which was held back: nobody else bears its name now."""

    newcomer: NodeId


@dataclass(frozen=True, slots=True)
class Superseded:
    """This run is over for the mesh: ``record`` is of a later run, or says that this one has left."""

    record: MemberRecord


@dataclass(frozen=True, slots=True)
class Departed:
    """The goodbye is told: ``acks`` live members have confirmed it."""

    acks: int


SwimEffect = SendTo | DialAddress | CloseLink | Doubt | Refuse | Admit | Superseded | Departed | MemberChanged
"""Any of them."""
