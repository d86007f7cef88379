"""A warehouse that takes connections and does not answer: each request still ends."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from orchestration.console.limits import Limits
from tests.bench import warehouse_url
from tests.integration.console.conftest import Open
from tests.toy.bench import Toy, bench  # noqa: F401

IDLE = """
    select pid from pg_stat_activity
    where datname = current_database() and application_name = 'quotemill console'
"""


@contextmanager
def hanging(dsn: str) -> Iterator[None]:
    """Stop the server's processes of the console's sessions until the end of the block."""
    with psycopg.connect(dsn) as conn:
        pids = [pid for (pid,) in conn.execute(IDLE)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_request_ends_with_what_to_do(
    bench: Toy,  # noqa: F811
    open_console: Open,
) -> None:
    dsn = warehouse_url(bench.settings)
    bench.load()
    settings = {"QUOTEMILL_WAREHOUSE_URL": dsn, "QUOTEMILL_HOME": str(bench.settings.home)}
    caller = open_console(settings, limits=Limits(statement=0.2))
    for path in ("/api/jobs", "/jobs/1", "/"):
        assert caller.get(path).status_code == 200
        with hanging(dsn):
            answer = caller.get(path)
            assert answer.status_code == 502, answer.text
            assert "is not responding" in answer.text
        assert caller.get(path).status_code == 200
