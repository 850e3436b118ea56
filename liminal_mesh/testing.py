"""Whole meshes in one test, in virtual time; for programs that use the bus.

from liminal_mesh.testing import Cluster
"""

from liminal_mesh.node.virtual_cluster import Cluster

__all__ = ["Cluster"]
