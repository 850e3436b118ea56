"""Exit codes, and what is said about an error: one clear paragraph, never a traceback."""

from __future__ import annotations

from enum import IntEnum

from liminal_mesh.storage import LiminalError

__all__ = ["Code", "Stop", "explain"]


class Code(IntEnum):
    """What a command's exit code tells."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_READY = 3
    TIMED_OUT = 4
    INTERRUPTED = 130


class Stop(Exception):
    """A verb ends here, with a text for humans and an exit code."""

    def __init__(self, text: str, code: Code = Code.FAILED) -> None:
        self.text = text
        self.code = code
        super().__init__(text)


def explain(error: BaseException) -> tuple[str, Code]:
    """Return what to say about an error, and the exit code."""
    match error:
        case Stop():
            return f"error: {error.text}", error.code
        case KeyboardInterrupt():
            return "interrupted", Code.INTERRUPTED
        case LiminalError():
            return f"error: {error}", _code(error)
        case TimeoutError():
            return f"error: {error or 'timed out'}", Code.TIMED_OUT
        case OSError(strerror=str(said)):
            return f"error: {error.filename}: {said}" if error.filename else f"error: {said}", Code.FAILED
        case _:
            kind = type(error).__name__
            return f"error: unexpected {kind}: {error} (LIMINAL_DEBUG=1 shows where; please report it)", Code.FAILED


def _code(error: LiminalError) -> Code:
    # Imported only now: whoever raised it has paid for it already.
    from liminal_mesh.cluster import CookieRejected

    from ..errors import ConfigError, DeadlineExceeded, OutcomeUnknown

    if isinstance(error, ConfigError | CookieRejected):
        return Code.USAGE
    return Code.TIMED_OUT if isinstance(error, DeadlineExceeded | OutcomeUnknown) else Code.FAILED
