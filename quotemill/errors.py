"""The errors a user can meet.

    QuotemillError      1  internal
    ├── UsageError      2  the command was called in a way it cannot serve
    ├── SettingsError   3  a setting is wrong or missing, or the warehouse cannot be used so
    ├── UpstreamError   4  a source or the warehouse is unavailable
    ├── DataQualityError 5 the data broke a rule beyond its threshold, or logscan found something
    ├── PartialError    6  part of the work failed; what is done is kept
    └── LockHeldError  75  another run holds the lock

`hint` says what to do next; commands print the message and `fix:` with it, and no traceback.
"""

from collections.abc import Iterable, Iterator

from quotemill.masks import mask_logins

INTERRUPTED = 130  # exit code after Ctrl-C


class QuotemillError(Exception):
    exit_code = 1
    source: str | None = None  # the source whose load it ended, where that is known

    def __init__(self, message: str, *, hint: str = "") -> None:
        # what others sent may have a null byte or half a character, which nothing could store
        super().__init__(message.encode(errors="backslashreplace").decode().replace("\0", "\\0"))
        self.hint = hint

    @property
    def with_hint(self) -> str:
        """The message, and the hint in brackets."""
        return f"{self} ({self.hint})" if self.hint else str(self)

    @property
    def lines(self) -> list[str]:
        """Message and hint, for people."""
        return [f"error: {self}", *([f"fix: {self.hint}"] if self.hint else [])]


class UsageError(QuotemillError):
    exit_code = 2


class SettingsError(QuotemillError):
    exit_code = 3


class UpstreamError(QuotemillError):
    exit_code = 4


class DataQualityError(QuotemillError):
    exit_code = 5


class PartialError(QuotemillError):
    exit_code = 6


class LockHeldError(QuotemillError):
    exit_code = 75


class NotDue(Exception):
    """There is nothing to do at this time; not an error."""


def name_acceptance(source: str, *datasets: str) -> str:
    """The way out of a guard, for its message."""
    named = " ".join(f"--dataset {name}" for name in datasets)
    return f"to accept this, run `loaders run {source} {named} --accept-loss`"


# an internal error first, then what keeps data away, then what is wrong with data; a held lock is
# no failure for a service manager, so it must hide none
_MOST_SEVERE_FIRST = (1, 2, 3, 4, 6, 5)


def most_severe(codes: Iterable[int]) -> int:
    """The one exit code for several; 0 only where all are."""
    failed = {code for code in codes if code}
    listed = next((code for code in _MOST_SEVERE_FIRST if code in failed), None)
    return listed or max(failed - {LockHeldError.exit_code}, default=max(failed, default=0))


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code of an error, from either driver; None for other errors."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)


def walk_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, the outermost first. A cause raised again is its own cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def innermost(error: BaseException) -> str:
    """The first cause of an error: one line, without the user and the password of a URL.

    Of ours the text says all; of others the class may be all that there is.
    """
    error = next((cause for cause in walk_causes(error) if cause.__cause__ is None), error)
    text = str(error).strip().partition("\n")[0]
    name = "" if isinstance(error, QuotemillError) else f"{type(error).__name__}: "
    return mask_logins(f"{name}{text}")
