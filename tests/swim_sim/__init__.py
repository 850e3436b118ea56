"""The shipped membership machine in simulated networks: the published figures, our own targets, and swarms of faults."""
