"""Histories made by hand, a module for each family of invariants, bad ones first."""

from ..telling import BAD, GOOD, Tell
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

__all__ = [
    "BAD",
    "GOOD",
    "Tell",
    "accounting",
    "bounds",
    "causal",
    "closing",
    "content",
    "drain",
    "fanout",
    "keys",
    "membership",
    "operations",
    "order",
    "predicates",
    "pressure",
    "schemas",
    "sharing",
]
