"""Errors as answers: the message, the hint and the exit code that a command would end with."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from loaders import log
from quotemill.errors import (
    DataQualityError,
    LockHeldError,
    PartialError,
    QuotemillError,
    SettingsError,
    UpstreamError,
    UsageError,
    sqlstate,
)

# by exit code
STATUS = {
    UsageError.exit_code: 422,
    SettingsError.exit_code: 409,
    UpstreamError.exit_code: 502,
    DataQualityError.exit_code: 422,
    PartialError.exit_code: 200,
    LockHeldError.exit_code: 409,
}


class NotThere(UsageError):
    """The path names nothing that exists."""


class Forbidden(UsageError):
    """The caller is not known."""


class Busy(LockHeldError):
    """A limit is reached; later the same call works."""


def find_status(error: QuotemillError) -> int:
    """The HTTP status of an error."""
    if isinstance(error, NotThere):
        return 404
    if isinstance(error, Forbidden):
        return 403
    if isinstance(error, Busy):
        return 429
    return STATUS.get(error.exit_code, 500)


def record_fault(error: Exception) -> QuotemillError:
    """An error as one of ours, which is logged; an internal one with its traceback."""
    known = _explain_away(error) or log.explain(error)
    log.write_error(known)
    return known


def _explain_away(error: Exception) -> QuotemillError | None:
    """A connection that broke, or a statement that was ended, in the middle of reading."""
    state = sqlstate(error) or "08"
    if not isinstance(error, psycopg.OperationalError) or state[:2] not in ("08", "57"):
        return None
    reason = str(error).strip().partition("\n")[0]
    return UpstreamError(
        f"the warehouse did not respond: {reason}",
        hint="Check that its server is running, then try again.",
    )


def describe(error: QuotemillError) -> dict[str, Any]:
    """The document of an error, without secrets."""
    return {
        "error": log.scrub(str(error)),
        "hint": log.scrub(error.hint),
        "exit_code": error.exit_code,
    }


def scrub(value: Any) -> Any:
    """A document without secrets; what JSON does not know becomes text."""
    if isinstance(value, Mapping):
        return {log.scrub(str(name)): scrub(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(item) for item in value]
    return (
        value if value is None or isinstance(value, bool | int | float) else log.scrub(str(value))
    )


async def send_json(
    send: Callable[[Any], Any],
    status: int,
    document: Any,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> None:
    """Answer by hand, where no route does."""
    body = json.dumps(document, ensure_ascii=False).encode()
    length = str(len(body)).encode()
    fixed = ((b"content-type", b"application/json"), (b"content-length", length))
    start = {"type": "http.response.start", "status": status, "headers": [*fixed, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
