"""How soon nodes learn of what happened to others, with real processes and real faults, beside a rival.

``python -m benchmarks.detection`` starts meshes of processes in network namespaces of their own, kills, stops, cuts and
starves them, and prints the times that all observers took, each beside its target. Every process says what it holds of
the others with the time at which it learned it, by the clock that all processes of a machine share
(:mod:`.said`, :mod:`.views`); :mod:`.cluster` owns the processes, :mod:`.places` the network that is between them;
:mod:`.crashes`, :mod:`.cuts` and :mod:`.quiet` are the faults; :mod:`.targets` says what is wanted.
"""
