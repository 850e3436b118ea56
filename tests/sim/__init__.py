"""Seeded simulations of whole meshes: shipped cores, shipped codec, a virtual clock and a bad network."""
