"""QuestDB as the tick store of a load: down, suspended, another's table, killed in the middle."""
# ruff: noqa: F811

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.progress import Silent
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.datasets import ticks
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import UpstreamError
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL, address_of, kill, start
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.conftest import questdb_url, schedule_dsn  # noqa: F401
from tests.integration.tq.worlds import DAYS, world


@pytest.fixture
def with_store(schedule_dsn: str, tmp_path: Path) -> Callable[..., Any]:
    """A bench whose ticks go to the QuestDB of a URL, with further settings of that."""

    @contextmanager
    def make(url: str, **store_settings: str) -> Iterator[Bench]:
        environ = {"QUOTEMILL_QUESTDB_URL": url, "QUOTEMILL_QUESTDB__WAIT": "60"}
        environ |= {
            f"QUOTEMILL_QUESTDB__{name.upper()}": value for name, value in store_settings.items()
        }
        with bench(world(), schedule_dsn, tmp_path, environ=environ) as made:
            yield made

    return make


def is_whole(made: Bench) -> None:
    verification = verify(made.settings, open_warehouse(made.settings), Silent())
    assert (verification.days, verification.differences) == (DAYS, ())


def test_a_store_that_is_down_is_reported_and_the_next_load_completes(
    with_store: Callable[..., Any], questdb_url: str
) -> None:
    with with_store("http://somebody:a-secret@127.0.0.1:9") as made:
        result = made.load("ticks")
        assert (result.status, result.exit_code) == ("failed", UpstreamError.exit_code)
        assert "127.0.0.1:9" in result.error
        assert "a-secret" not in f"{result} {made.heard.lines}"
    with with_store(questdb_url) as made:
        assert made.load("ticks").status == "succeeded"
        is_whole(made)


def test_a_suspended_table_stops_the_load_before_it_fetches(
    with_store: Callable[..., Any], questdb_url: str, questdb_folder: Path
) -> None:
    with with_store(questdb_url) as made:
        assert made.load("ticks", until=world().days[2]).status == "succeeded"
        http = QuestdbHttp(address_of(questdb_folder))
        http.rows(f"alter table {MAIN_TICKS.name} suspend wal")
        made.asked()
        result = made.load("ticks")
        assert (result.status, result.exit_code) == ("failed", UpstreamError.exit_code)
        assert MAIN_TICKS.name in str(result.error)
        assert made.asked() == []
        http.rows(f"alter table {MAIN_TICKS.name} resume wal")
        http.close()
        assert made.load("ticks").status == "succeeded"
        is_whole(made)


def test_a_server_that_is_killed_between_two_days_is_waited_for(
    with_store: Callable[..., Any],
    questdb_url: str,
    questdb_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome, called = ticks.check_day, [0]
    port = int(questdb_url.rpartition(":")[2])

    def counted(*args: Any) -> Any:
        called[0] += 1
        if called[0] == 4:
            kill(questdb_folder)
            same = SMALL.model_copy(update={"port": port})
            start(questdb_folder, same)
        return outcome(*args)

    monkeypatch.setattr(ticks, "check_day", counted)
    with with_store(questdb_url) as made:
        assert made.load("ticks").status == "succeeded"
        assert called == [DAYS]
        is_whole(made)
