"""Our programs on a PATH as forks, which import nothing: see `tests.forks`.

Where scripts of documentation run as they are written, imports are most of what a command costs.
"""

import json
import os
import socket
import sys
from pathlib import Path
from threading import Thread

from tests.forks import Fork

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
