"""What must not be lost; for now the root of the error tree, which every other folder builds on."""

from .errors import Failed, LiminalError, Refused, Unknown

__all__ = ["Failed", "LiminalError", "Refused", "Unknown"]
