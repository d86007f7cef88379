"""The errors a user can meet.

    QuotemillError      1  internal
    ├── UsageError      2  the command was called in a way it cannot serve
    ├── SettingsError   3  a setting is wrong or missing, or the warehouse cannot be used as configured
    ├── UpstreamError   4  a source or the warehouse is unavailable
    ├── DataQualityError 5 the data broke a rule beyond its threshold
    ├── PartialError    6  part of the work failed; what is done is kept
    └── LockHeldError  75  another run holds the lock

Each class knows its exit code. `hint` says what to do next; commands print both and no traceback.
"""


class QuotemillError(Exception):
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


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
