"""The root of the error tree. Each folder adds its own leaves in its own ``errors`` module.

::

    LiminalError
    ├── Refused   nothing was stored or sent; mend the cause and call again
    ├── Failed    the work was accepted and then failed; it is known not to have succeeded
    └── Unknown   it may or may not have happened; retry with the same key

An error's attributes are exactly its constructor's arguments, so that an error can cross a
connection as ``(class name, fields)`` and be raised on the other side with nothing lost.
"""

__all__ = ["Failed", "LiminalError", "Refused", "Unknown"]


class LiminalError(Exception):
    """The root of all errors of the bus."""

    def fields(self) -> dict[str, object]:
        """Return the error's facts by name: the arguments with which its class builds it again."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy by the fields, since a message is not a constructor argument."""
        return _rebuild, (type(self), self.fields())


class Refused(LiminalError):
    """Nothing was stored or sent."""


class Failed(LiminalError):
    """The work was accepted, and failed afterwards."""


class Unknown(LiminalError):
    """Whether it happened is not known: retry with the same key."""


def _rebuild(kind: type[LiminalError], fields: dict[str, object]) -> LiminalError:
    return kind(**fields)
