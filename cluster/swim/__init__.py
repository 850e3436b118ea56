"""Gossip membership: who is alive, suspected, dead or gone, found out by the nodes among themselves.

A pure machine (:class:`.machine.Swim`): events in, effects out. One idea a file: :mod:`.record` (which of two
records counts), :mod:`.roster` (the table, its tombstones and its digest), :mod:`.ring`, :mod:`.probe` and
:mod:`.relay` (is it there?), :mod:`.suspicion` and :mod:`.health` (how long to doubt, and whether to doubt oneself),
:mod:`.judge` (what is believed), :mod:`.rumours` and :mod:`.gossip` (what is told), :mod:`.exchange` (whole views
compared), :mod:`.evidence` (what broken links prove), :mod:`.redial` (whom to call again), :mod:`.zombies` (the dead
whose links stand), :mod:`.stops` (was it us who stood still?), :mod:`.succession` (two nodes of one name),
:mod:`.farewell` (leaving), :mod:`.statistics` (what happened); :mod:`.board` is what they share.
"""

from .effects import Admit, CloseLink, Departed, DialAddress, Doubt, Refuse, SendTo, Superseded, SwimEffect
from .evidence import DialOutcome, LinkLoss
from .machine import Swim
from .options import LAN, TEST, WAN, SwimOptions
from .roster import Roster
from .statistics import SwimStatistics

__all__ = [
    "LAN",
    "TEST",
    "WAN",
    "Admit",
    "CloseLink",
    "Departed",
    "DialAddress",
    "DialOutcome",
    "Doubt",
    "LinkLoss",
    "Refuse",
    "Roster",
    "SendTo",
    "Superseded",
    "Swim",
    "SwimEffect",
    "SwimOptions",
    "SwimStatistics",
]
