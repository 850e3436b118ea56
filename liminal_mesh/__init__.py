"""A clustered message bus: a mesh of equal nodes, no broker."""
