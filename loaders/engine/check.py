"""One check of `quotemill doctor`, of the project's own or of a source."""

from dataclasses import dataclass

from loaders.errors import QuotemillError


@dataclass(frozen=True)
class Check:
    """`mend` is the command that repairs it, `exit_code` that of the error behind a `fail`."""

    name: str
    status: str  # ok, warn, fail
    seen: str
    mend: str = ""
    exit_code: int = 0


def failed(name: str, error: QuotemillError) -> Check:
    """A check that failed with an error that would end a command."""
    return Check(name, "fail", str(error), error.hint, error.exit_code)
