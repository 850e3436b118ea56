"""Rates of the bus beside its peers: NATS, and a bare pipe as the ceiling of what Python can do.

Every figure is a ratio to what the same machine did in the same run: ``python -m benchmarks``.
A contender is an async function that gives a :class:`~benchmarks.result.Result`, and a row in
:mod:`benchmarks.contenders`; it runs its parts as processes of their own (:mod:`benchmarks.roles`).
"""
