"""Commands that a console started: the list, one with its output, and the start of some."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from orchestration.console import starting
from orchestration.console.api.answers import Answer, Call, Limit, StartedAnswer
from orchestration.console.context import Console
from orchestration.console.errors import scrub
from orchestration.console.processes import Command

RunId = Annotated[str, Path(max_length=40, description="command id")]


class CommandCall(Call):
    """The text of a command that the console can run."""

    command: Annotated[str, Field(max_length=200)]


class CommandRow(Answer):
    """A command. `exit_code` is null while it runs, or if it was killed."""

    run_id: str
    command: str
    origin: str
    started_at: datetime
    is_running: bool
    exit_code: int | None
    error: str | None
    hint: str


class CommandAnswer(CommandRow):
    """A command and its JSON output."""

    answer: Any


class CommandList(Answer):
    commands: list[CommandRow]


def routes(console: Console) -> APIRouter:
    router = APIRouter(prefix="/commands", tags=["commands"])

    @router.get("")
    def list_commands(limit: Limit = 20) -> CommandList:
        """List the newest commands started from this home's consoles."""
        listed = console.commands.list_all()[:limit]
        rows = [CommandRow(**describe_command(console, command)) for command in listed]
        return CommandList(commands=rows)

    @router.post("", status_code=202)
    def start_command(call: CommandCall) -> StartedAnswer:
        """Start a command that needs no terminal, such as `quotemill build` or `quotemill run`."""
        command = starting.start_text(console, call.command, "POST /api/commands")
        return StartedAnswer(run_id=command.run_id, command=command.text)

    @router.get("/{run_id}")
    def read_command(run_id: RunId) -> CommandAnswer:
        """Show a command and how it ended."""
        command = console.commands.find(run_id)
        ending = console.commands.read_ending(command)
        answer = scrub(ending.answer) if ending else None
        return CommandAnswer(**describe_command(console, command), answer=answer)

    @router.get(
        "/{run_id}/output",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}},
    )
    def read_output(run_id: RunId) -> Response:
        """Show the end of its text output."""
        return PlainTextResponse(console.commands.read_output(console.commands.find(run_id)))

    return router


def describe_command(console: Console, command: Command) -> dict[str, Any]:
    ending = console.commands.read_ending(command)
    return {
        "run_id": command.run_id,
        "command": command.text,
        "origin": command.origin,
        "started_at": command.started_at,
        "is_running": command.is_running and ending is None,
        "exit_code": ending.exit_code if ending else None,
        "error": ending.error if ending else None,
        "hint": ending.hint if ending else "",
    }
