"""Commands of ours in processes of their own: their JSON, and what Dagster does after each code."""

import contextlib
import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from loaders.engine.signals import handled
from orchestration.schedule.runner import executable
from quotemill.errors import INTERRUPTED, LockHeldError, QuotemillError, UpstreamError
from quotemill.masks import mask_logins

# what is away or locked now may not be in a minute; the next start of the job comes anyway
RETRIES, RETRY_SECONDS = 5, 60
WORTH_A_RETRY = (UpstreamError.exit_code, LockHeldError.exit_code)


@dataclass(frozen=True)
class Answer:
    """How a command ended.

    documents: the JSON objects that it printed on stdout, in order
    """

    exit_code: int
    documents: tuple[Mapping[str, Any], ...]

    @property
    def error(self) -> str:
        """Why it failed, and what to do: one line, without the logins of URLs."""
        failed = [document for document in self.documents if document.get("error")]
        lines = [f"{d['error']}" + (f" ({d['hint']})" if d.get("hint") else "") for d in failed]
        return mask_logins("; ".join(lines)) or f"exit code {self.exit_code}"


def run_command(*words: str, json_answer: bool = True) -> Answer:
    """Run a command of ours to its end; what it prints on stderr is in Dagster's log of the step.

    An interrupt is passed on and its end awaited: a load lands its batch first.
    """
    command = [str(executable(words[0])), *words[1:], *(["--json"] if json_answer else [])]
    with tempfile.TemporaryFile() as out:
        # of its own session: Ctrl-C in the terminal of `dagster dev` reaches it once, from here
        process = subprocess.Popen(
            command, stdout=out if json_answer else None, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:
            _end_process(process)
            raise
        out.seek(0)
        return Answer(code if code >= 0 else 128 - code, _read_documents(out.read()))


def raise_failure(command: Sequence[str], answer: Answer) -> None:
    """Raise what Dagster is to make of an exit code other than 0: try again later, or fail."""
    if answer.exit_code == 0:
        return
    text = f"`{' '.join(command)}`: {answer.error}"
    if answer.exit_code in WORTH_A_RETRY:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=RETRY_SECONDS) from dg.Failure(
            text
        )
    if answer.exit_code == INTERRUPTED:
        text = f"{text}: stopped, run it again to continue"
    raise dg.Failure(text, metadata={"exit_code": answer.exit_code}, allow_retries=False)


@contextlib.contextmanager
def failures_explained(name: str) -> Iterator[None]:
    """Make of our errors in a block what `raise_failure` makes of a command's exit code."""
    try:
        yield
    except QuotemillError as error:
        answer = Answer(error.exit_code, ({"error": str(error), "hint": error.hint},))
        raise_failure([name], answer)


@contextlib.contextmanager
def interrupted_as_commands() -> Iterator[None]:
    """Raise KeyboardInterrupt where Dagster ends a step in a block, as Ctrl-C does in a command.

    dbt cancels its queries for it, and for no error of Dagster's.
    """
    handler = signal.default_int_handler
    with handled({signal.SIGINT: handler, signal.SIGTERM: handler}):
        yield


def _end_process(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a process and wait for its end; each further interrupt is passed on too."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(BaseException):
            process.wait()


def _read_documents(printed: bytes) -> tuple[Mapping[str, Any], ...]:
    try:
        answer = json.loads(printed)
    except ValueError:  # a killed process printed nothing
        return ()
    documents = answer if isinstance(answer, list) else [answer]
    return tuple(document for document in documents if isinstance(document, dict))
