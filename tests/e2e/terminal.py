"""Our programs on a PATH as forks, which import nothing: see `tests.forks`.

Where scripts of documentation run as they are written, imports are most of what a command costs.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from loaders.ticks.questdb import server as questdb
from tests.checkout import own_checkout
from tests.e2e.commands import BIN
from tests.forks import Fork
from tests.homes import clean_environ, new_home

SMALL = {"QUOTEMILL_TDX__MINUTE_DAYS": "3", "QUOTEMILL_TDX__TICK_DAYS": "2"}
PROGRAMS = ("loaders", "quotemill", "dbt")
PROGRAM = """#!{python} -IS
# passes its files to a fork, and signals; ends as that does
import json, os, signal, socket, sys

server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
socket.send_fds(server, [b"."], [0, 1, 2])
name = os.path.basename(sys.argv[0])
server.sendall(json.dumps([[name, *sys.argv[1:]], dict(os.environ), os.getcwd()]).encode())
server.shutdown(socket.SHUT_WR)
answers = server.makefile()
fork = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(fork, number))
sys.exit(int(answers.readline()))
"""


def open_terminal(folder: Path) -> None:
    """Make a folder for PATH with our programs, which run as long as this process does."""
    folder.mkdir()
    listener = socket.socket(socket.AF_UNIX)
    address = str(folder / "socket")
    listener.bind(address)
    listener.listen()
    for name in PROGRAMS:
        program = folder / name
        program.write_text(PROGRAM.format(python=sys.executable, address=address))
        program.chmod(0o755)
    Thread(target=_serve, args=(listener,), daemon=True).start()


@contextmanager
def checkout() -> Iterator[Path]:
    """A folder as a clone with an environment that is set up."""
    with new_home() as folder:
        own_checkout(folder)
        open_terminal(folder / "terminal")
        activate = folder / ".venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.touch()
        try:
            yield folder
        finally:
            data = folder / "user" / ".local" / "share" / "quotemill"
            questdb.remove(questdb.server_folder(data))


def environment(folder: Path) -> dict[str, str]:
    # make calls what is in .venv before anybody activates it
    environ = clean_environ()
    path = f"{folder / 'terminal'}:{BIN}:{environ['PATH']}"
    return environ | {"PATH": path, "HOME": str(folder / "user")}


def run(folder: Path, script: str, **settings: str) -> str:
    """Run a script that ends at its first failure; return what it printed."""
    done = subprocess.run(
        ["bash", "-exc", script],
        cwd=folder,
        env=environment(folder) | SMALL | settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6_000:]
    return done.stdout


@contextmanager
def first_terminal(folder: Path, script: str, settings: int = 0) -> Iterator[dict[str, str]]:
    """A terminal in which a sandbox runs meanwhile, until Ctrl-C; the settings that it prints."""
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert " sandbox on " in first
    printed = {"CONTROL": first.partition("control=")[2].partition(" ")[0]}
    printed["URL"] = first.partition(" on ")[2].split()[0]
    for _ in range(settings):
        name, _, value = process.stdout.readline().strip().partition("=")
        printed[name.removeprefix("export ")] = value
    try:
        yield printed
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)


def _serve(listener: socket.socket) -> None:
    while True:
        caller, _ = listener.accept()
        Thread(target=_run, args=(caller,), daemon=True).start()


def _run(caller: socket.socket) -> None:
    with caller, caller.makefile("rb") as call:
        _, files, *_ = socket.recv_fds(caller, 1, 3)
        command, environment, folder = json.load(call)
        fork = Fork(command, env=environment, cwd=Path(folder), files=files)
        for number in files:
            os.close(number)
        caller.sendall(f"{fork.pid}\n".encode())
        caller.sendall(f"{fork.wait()}\n".encode())


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])
