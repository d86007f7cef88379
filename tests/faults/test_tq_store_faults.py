"""QuestDB as the tick store of a load: down, suspended, another's table, killed in the middle."""
# ruff: noqa: F811

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.loads import run_load
from loaders.ticks.questdb import server
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.datasets import ticks
from loaders.tq.tick_days.repair import verify_and_repair
from loaders.tq.tick_days.verify import verify
from loaders.trading_time import SHANGHAI
from loaders.warehouse.postgres import open_warehouse
from orchestration.alerts.causes import check_tick_store
from orchestration.alerts.check import check_and_notify
from quotemill.errors import UpstreamError
from quotemill.ticks.questdb_http import QuestdbHttp, Suspended
from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import SMALL, address_of, kill, open_at, start
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


@pytest.mark.timeout(300)
def test_a_damaged_log_is_a_cause_of_its_own_and_its_way_out_works(
    with_store: Callable[..., Any], questdb_url: str, questdb_folder: Path
) -> None:
    same = SMALL.model_copy(update={"port": int(questdb_url.rpartition(":")[2])})
    ticks_table = MAIN_TICKS.name
    with with_store(questdb_url) as made, closing(open_at(questdb_folder)) as store:
        assert made.load("ticks").status == "succeeded"
        assert check_tick_store(made.settings) == {"tick_store": None}
        http = QuestdbHttp(address_of(questdb_folder))
        http.rows(f"alter table {ticks_table} suspend wal")
        http.rows(f"insert into {ticks_table} select * from {ticks_table} limit 120")
        http.close()
        server.stop(questdb_folder)
        assert check_tick_store(made.settings) == {}
        for log in questdb_folder.glob(f"db/{ticks_table}~*/wal*/*/_event"):
            log.write_bytes(bytes(log.stat().st_size))  # as a power cut leaves it
        start(questdb_folder, same)

        assert made.load("ticks").exit_code == UpstreamError.exit_code
        with pytest.raises(Suspended, match="cannot apply") as refused:
            store.resume()
        assert "loaders verify tq --repair" in refused.value.hint
        result = check_and_notify(made.settings, {})
        assert "tick_store" in result.open
        cause = check_tick_store(made.settings)["tick_store"]
        assert cause is not None
        assert f" {ticks_table} " in cause.sentence
        assert "quotemill questdb resume" in cause.fix

        assert store.resume(lambda _: True) == [ticks_table]
        assert "tick_store" not in check_and_notify(made.settings, {}).open
        assert made.load("ticks").status == "succeeded"
        is_whole(made)


@pytest.mark.timeout(300)
def test_days_that_a_ttl_dropped_come_back_and_the_repair_says_so(
    with_store: Callable[..., Any], questdb_url: str, questdb_folder: Path
) -> None:
    with with_store(questdb_url) as made:
        assert made.load("ticks").status == "succeeded"
        http = QuestdbHttp(address_of(questdb_folder))
        http.rows(f"alter table {MAIN_TICKS.name} set ttl 1 week")
        newest = f"select * from {MAIN_TICKS.name} limit -1"
        http.rows(f"insert into {MAIN_TICKS.name} {newest}")  # any write drops older days
        http.wait_applied(MAIN_TICKS.name, 60)
        made.asked()
        refused = made.load("ticks")
        assert refused.exit_code != 0
        assert f"alter table {MAIN_TICKS.name} set ttl 0h" in refused.hint.lower()
        assert made.asked() == []
        http.rows(f"alter table {MAIN_TICKS.name} set ttl 0h")
        http.close()
        results: list[LoadResult] = []

        def load(request: LoadRequest) -> LoadResult:
            at = made.sandbox.clock.replace(tzinfo=SHANGHAI)
            results.append(run_load(made.settings, request, made.heard, as_of=at))
            return results[-1]

        warehouse = open_warehouse(made.settings)
        after, repaired = verify_and_repair(
            made.settings, warehouse, load, lambda: nullcontext(Silent()), repair=True
        )
        assert after.differences == ()
        assert repaired > 0
        [result] = results
        assert not any("nothing new" in line for line in result.summary())
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
