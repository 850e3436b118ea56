"""The shipped membership machine in simulated networks: published figures, our own targets, swarms of faults."""
