"""A simulated service as the source, by a button: everything of TDX without an account."""

import re
import threading
from pathlib import Path

from fastapi import APIRouter

from loaders import sources
from loaders.engine import job_list
from loaders.settings import Settings
from loaders.settings.load import read_layers
from loaders.settings.saving import find_overruling, save_settings
from orchestration.checks.settings import check_settings
from orchestration.console.api.answers import Answer, Call, StartedAnswer
from orchestration.console.context import FOLDER, Console
from orchestration.console.processes import Command
from quotemill.errors import QuotemillError, SettingsError, UsageError

SOURCE = "tdx"
PROGRAM = ("loaders", "sandbox", SOURCE)
WAIT = 30.0  # seconds until it answers
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class SandboxAnswer(Answer):
    """The simulated service in the settings. Its process keeps running without the console."""

    address: str
    run_id: str
    is_running: bool


class StoppedAnswer(Answer):
    ok: bool


def routes(console: Console) -> APIRouter:
    router = APIRouter(prefix="/sandbox", tags=["sandbox"])
    turn = threading.Lock()  # two pages that start one at once get the same

    @router.post("", status_code=202)
    def start_sandbox(
        call: Call,  # noqa: ARG001 - the body is an empty object
    ) -> StartedAnswer:
        """Start a simulated service and make it the source: `loaders sandbox tdx`.

        Its market ends on the last trading day. A service that stopped with its machine continues
        as it was. Rejected if another TDX source is configured or has rows in the warehouse.
        """
        with turn:
            command = start(console)
        return StartedAnswer(run_id=command.run_id, command=command.text)

    @router.delete("")
    def stop_sandbox() -> StoppedAnswer:
        """Stop the simulated service and remove it from the settings."""
        with turn:
            stop(console)
        return StoppedAnswer(ok=True)

    return router


def find_sandbox(console: Console, settings: Settings) -> SandboxAnswer | None:
    """The simulated service that a console started and the settings name; None: another source."""
    address = settings.tdx.base_url
    if address is None or not _ADDRESS.fullmatch(address.rstrip("/")):
        return None
    for command in _list_sandboxes(console):
        if _read_address(console, command) == address.rstrip("/"):
            return SandboxAnswer(
                address=address, run_id=command.run_id, is_running=command.is_running
            )
    return None


def start(console: Console) -> Command:
    """Start the service that the settings name as it was before, or a new one."""
    settings = console.settings()
    known = find_sandbox(console, settings)
    if known is not None and known.is_running:
        return console.commands.find(known.run_id)
    actions = settings.home / FOLDER / "sandbox_actions.csv"
    if known is None:
        _refuse_real(console, settings)
        words = _list_words(console, actions)
    else:  # of another clock its prices would be others
        words = console.commands.find(known.run_id).words
    names = (f"{SOURCE}.base_url", f"{SOURCE}.corporate_actions")
    layers = read_layers(console.environ, console.cwd)
    for name in names:
        if place := find_overruling(layers, name):
            raise SettingsError(f"setting {name} is set by {place}", hint="Delete it there.")
    command = console.commands.start(words, "POST /api/sandbox")
    address = console.commands.wait(command, lambda: _read_address(console, command), WAIT)
    if address is None:
        console.commands.stop(command)
        ending = console.commands.read_ending(command)
        reason = (
            ending.error if ending and ending.error else f"it did not respond within {WAIT:g} s"
        )
        raise QuotemillError(f"the simulated service did not start: {reason}")
    values = dict(zip(names, (address, str(actions)), strict=True))
    try:
        save_settings(values, console.environ, console.cwd, check_settings)
    except QuotemillError:
        console.commands.stop(command)
        raise
    return command


def _list_words(console: Console, actions: Path) -> tuple[str, ...]:
    from orchestration.demo import find_last_close  # takes long to import

    clock = find_last_close(console.now)
    return (*PROGRAM, "--port=0", f"--clock={clock}", f"--write-actions={actions}")


def stop(console: Console) -> None:
    known = find_sandbox(console, console.settings())
    if known is None:
        raise UsageError("the source is not a simulated service started by a console")
    console.commands.stop(console.commands.find(known.run_id))
    values = dict.fromkeys((f"{SOURCE}.base_url", f"{SOURCE}.corporate_actions"))
    save_settings(values, console.environ, console.cwd, check_settings)


def _refuse_real(console: Console, settings: Settings) -> None:
    """Keep invented prices away from real ones. Raises UsageError."""
    if sources.find_operations(SOURCE).missing(settings) is None:
        raise UsageError("a TDX source is already configured", hint="See the Settings page.")
    newest = console.read_any(job_list.newest_jobs) or []
    if any(job["source"] == SOURCE for job in newest):
        raise UsageError(
            "this warehouse already has TDX data, and made-up prices would be mixed in",
            hint="Start the console with QUOTEMILL_HOME set to another folder.",
        )


def _list_sandboxes(console: Console) -> list[Command]:
    listed = console.commands.list_all()
    return [command for command in listed if command.words[: len(PROGRAM)] == PROGRAM]


def _read_address(console: Console, command: Command) -> str | None:
    """The address that a simulated service printed once it answered."""
    printed = _ADDRESS.search(console.commands.read_output(command, "out"))
    return printed.group(0) if printed else None
