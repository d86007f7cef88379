"""Two warehouses and one QuestDB: it serves the first one."""
# ruff: noqa: F811

from collections.abc import Callable
from pathlib import Path

import pytest

from loaders.engine.progress import Silent
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.questdb.warehouse_mark import RELEASE, WarehouseMark
from loaders.tq.tick_days.repair import take_out_unlisted
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import QuestdbHttp
from tests.integration.ticks.conftest import empty_questdb, questdb_folder  # noqa: F401
from tests.integration.ticks.servers import address_of, open_at
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import INDEX, TRADED, world

ONE, TWO = WarehouseMark("one", "home one"), WarehouseMark("two", "home two")


def marked(folder: Path, mark: WarehouseMark) -> QuestdbStore:
    store = open_at(folder)
    store._mark = lambda: mark
    return store


def test_of_two_warehouses_that_claim_a_questdb_one_is_refused(
    empty_questdb: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = QuestdbStore._put

    def beaten(self: QuestdbStore, table: object, rows: object) -> None:
        put(self, table, rows)  # type: ignore[arg-type]
        put(self, table, TWO.as_table())  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(QuestdbStore, "_put", beaten)
        with pytest.raises(SettingsError, match="home two"):
            marked(empty_questdb, ONE).prepare()
    marked(empty_questdb, TWO).prepare()


def stamps(made: Bench) -> set[str]:
    return {row[3] for row in made.rows(INDEX)}


@pytest.mark.long
def test_a_second_warehouse_is_refused_until_the_first_is_released(
    schedule_dsn: str,
    filled_database: Callable[..., str],
    questdb_url: str,
    questdb_folder: Path,
    tmp_path: Path,
) -> None:
    def never(_: str) -> None:
        raise AssertionError("it is filled")

    environ = {"QUOTEMILL_QUESTDB_URL": questdb_url}
    with (
        bench(world(), schedule_dsn, tmp_path / "one", environ=environ) as owner,
        bench(
            world(), filled_database("schedule", never), tmp_path / "two", environ=environ
        ) as other,
    ):
        # a copy of a database is the same warehouse; this one becomes another with its schedule
        other.execute("update ops.settings set value = 'another' where key = 'warehouse_id'")
        other.execute("update futures.main_schedule set schedule_hash = repeat('f', 16)")
        assert owner.load("ticks", until=TRADED[1]).status == "succeeded"
        before = owner.rows(INDEX)
        other.asked()
        result = other.load("ticks", until=TRADED[1])
        assert (result.status, result.exit_code) == ("failed", SettingsError.exit_code)
        assert str(tmp_path / "one") in str(result.error)
        assert RELEASE in result.hint
        assert asked_days(other) == 0
        assert other.rows(INDEX) == []
        there = open_warehouse(other.settings)
        for refused in (
            lambda: verify(other.settings, there, Silent()),
            lambda: take_out_unlisted(other.settings, there),
        ):
            with pytest.raises(SettingsError, match="another warehouse"):
                refused()
        assert owner.load("ticks", until=TRADED[1]).tasks == ()
        assert owner.rows(INDEX) == before

        http = QuestdbHttp(address_of(questdb_folder))
        http.rows(RELEASE)
        http.close()
        assert other.load("ticks", until=TRADED[1]).status == "succeeded"
        assert asked_days(other) == 0, "stored days are stamped, and not fetched"
        assert [row[:2] for row in other.rows(INDEX)] == [row[:2] for row in before]
        assert stamps(other) == {"f" * 16}
        assert owner.load("ticks", until=TRADED[1]).exit_code == SettingsError.exit_code
