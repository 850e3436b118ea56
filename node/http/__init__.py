"""HTTP of a node: health, readiness, metrics, and what there is to know of it as JSON.

Imported only by a node that serves HTTP: a program that embeds one without pays nothing for it.
"""

from .server import HttpServer

__all__ = ["HttpServer"]
