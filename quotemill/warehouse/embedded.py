"""The embedded server of a home as its readers find it; the command starts it."""

from pathlib import Path
from urllib.parse import quote

from quotemill.errors import UpstreamError
from quotemill.installation import run_command

PORT = 5432  # of the socket that clients use: only a part of its name
DATA = "postgres"  # in a home: the data directory


def is_made(home: Path) -> bool:
    """Whether the home has a server's data; makes nothing."""
    return (home / DATA / "PG_VERSION").exists()


def start_server(home: Path) -> str:
    """Start the home's server, unless it runs; its URL. Raises the error of the command."""
    run_command(["warehouse", "start"], home)
    url = find_running(home)
    if url is None:
        raise UpstreamError(
            f"the embedded server in {home} stopped right after its start",
            hint="Run `quotemill warehouse status`.",
        )
    return url


def find_running(home: Path) -> str | None:
    """The URL of a server that says it is ready; whether it still answers, connecting tells."""
    try:
        # pid, data, start time, port, socket folder, host, shared memory, state
        lines = (home / DATA / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    if len(lines) < 8 or lines[7].strip() != "ready":
        return None
    return build_url(lines[4])


def build_url(socket_folder: str) -> str:
    """The URL of the server whose socket is in a folder."""
    return f"postgresql://postgres@/postgres?host={quote(socket_folder, safe='')}&port={PORT}"
