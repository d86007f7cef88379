"""One check of `quotemill doctor`."""

from dataclasses import dataclass

from loaders.errors import QuotemillError


@dataclass(frozen=True)
class Check:
    """`exit_code` is that of the error which a `fail` stands for."""

    name: str
    status: str  # ok, warn, fail
    seen: str
    mend: str = ""
    exit_code: int = 0


def failed(name: str, error: QuotemillError) -> Check:
    """A check that found what would end a command."""
    return Check(name, "fail", str(error), error.hint, error.exit_code)
