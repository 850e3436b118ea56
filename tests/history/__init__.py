"""Recorded runs of real processes, and the checker that holds them to the promises (``docs/promises.md``)."""
