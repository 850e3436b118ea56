"""Which of the connections with a peer is the control link.

Of two nodes the one with the lower name decides. It numbers what it chooses, always upwards, so that both ends mean the
same connection by the highest number.
"""

from __future__ import annotations

from .control_link import ControlLink

__all__ = ["ControlChoice"]


class ControlChoice:
    """The links of one node that stand, or are about to.

    Args:
        me: the node's name.
    """

    def __init__(self, me: str) -> None:
        self._me = me
        self._minted = 0
        self.links: dict[str, ControlLink] = {}
        """By the peer's name."""

    def standing(self, link: ControlLink) -> ControlLink | None:
        """Return the link to the very run at the other end of a connection, if there is one."""
        there = self.links.get(link.node.name)
        return there if there is not None and there.node == link.node else None

    def good(self, link: ControlLink) -> int:
        """Return the number that the decider is told of: of the link that stands, 0 if there is none that is any good.

        Whoever dials a name although a link stands does not trust that link any more.
        """
        standing = self.standing(link)
        doubted = link.dial is not None and link.dial.name
        return standing.g if standing is not None and not doubted else 0

    def redundant(self, link: ControlLink, now: float) -> bool:
        """Whether the decider keeps what it has, and not this connection, whose peer has greeted."""
        standing = self.standing(link)
        if standing is None or (link.dial is not None and link.dial.name):
            return False
        assert link.greeting is not None, "only then it is known what the peer holds for the link"
        return link.greeting.g == standing.g or (not standing.proved and now < standing.deadline)

    def outdated(self, link: ControlLink) -> bool:
        """Whether what the decider has greeted with is over, or was no link at all."""
        assert link.greeting is not None, "only then it has chosen"
        standing = self.standing(link)
        return link.greeting.g == 0 or (standing is not None and link.greeting.g <= standing.g)

    def install(self, link: ControlLink) -> ControlLink | None:
        """Make a connection the link, and number it if that is ours to do; returns what it replaces."""
        assert link.greeting is not None, "only then it is known whose it is"
        name = link.node.name
        if self._me < name:
            self._minted += 1
            link.g = self._minted
        else:
            link.g = link.greeting.g
        former = self.links.get(name)
        self.links[name] = link
        return former
