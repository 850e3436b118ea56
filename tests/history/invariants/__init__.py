"""All invariants, by their names on the promise sheet; the first line of each function's docstring is what it holds.

Another one is a function from a history to violations, in the module of its family, and a line here.
"""

from __future__ import annotations

from ..violation import Check
from . import (
    accounting,
    bounds,
    causal,
    closing,
    content,
    drain,
    fanout,
    keys,
    membership,
    operations,
    order,
    predicates,
    pressure,
    schemas,
    sharing,
)

__all__ = ["INVARIANTS"]

INVARIANTS: dict[str, Check] = {
    "E1": content.e1,
    "E2": content.e2,
    "E3": order.e3,
    "E4": accounting.e4,
    "E5": content.e5,
    "E6": sharing.e6,
    "E7": predicates.e7,
    "I2": keys.i2,
    "I3": keys.i3,
    "O1": order.o1,
    "O4": causal.o4,
    "R1": pressure.r1,
    "R2": pressure.r2,
    "R3": pressure.r3,
    "S1": schemas.s1,
    "S2": schemas.s2,
    "S3": schemas.s3,
    "F1": fanout.f1,
    "F2": accounting.f2,
    "F3": fanout.f3,
    "G1": membership.g1,
    "G2": membership.g2,
    "G3": membership.g3,
    "G4": membership.g4,
    "N2": drain.n2,
    "N4": drain.n4,
    "N5": drain.n5,
    "N6": drain.n6,
    "X1": closing.x1,
    "X2": closing.x2,
    "Q1": operations.q1,
    "K1": bounds.k1,
    "K2": bounds.k2,
}
