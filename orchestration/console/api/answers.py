"""Answers and parts of paths that several routes share."""

from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

# a number that PostgreSQL's bigint holds
JobId = Annotated[int, Path(ge=1, lt=2**63, description="load number")]
Limit = Annotated[int, Query(ge=1, le=500, description="maximum number of rows, newest first")]


class Answer(BaseModel):
    """A document of the API."""

    model_config = ConfigDict(from_attributes=True)


class Call(BaseModel):
    """The body of a request. Unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid", str_max_length=200_000)


class ErrorAnswer(Answer):
    """Why a request failed, how to fix it, and the command's exit code."""

    error: str
    hint: str = ""
    exit_code: int


class CheckAnswer(Answer):
    """One check: its verdict (ok, warn, fail or unknown), the reason and the fix."""

    name: str
    verdict: str
    sentence: str
    fix: str
    subject: str
    exit_code: int
    elapsed_ms: int | None = None


class StartedAnswer(Answer):
    """A command that was started in its own process.

    `job_id` is the load that it started, or null if it loads nothing or is still waiting for
    another load.
    """

    run_id: str
    command: str
    job_id: int | None = None
    exit_code: int | None = Field(None, description="if it has already ended")
    error: str | None = None
    hint: str = ""


# each as a reference to ErrorAnswer, which the description has by an answer of its own: of a model
# of each status FastAPI would make a reader for every call, half of what a start takes
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"content": _ERROR, "description": text}
    for status, text in {
        401: "no session, or a wrong token",
        403: "not sent from an open page of this console, or a wrong link",
        404: "not found",
        409: "a setting is missing or invalid, or another run holds the lock",
        413: "the body is too large",
        415: "the body is not JSON",
        422: "the request is invalid",
        429: "too many requests or commands at once",
        500: "an internal error",
        502: "a source or the warehouse is unreachable",
    }.items()
}
