"""Two homes, each with a warehouse of its own, and one QuestDB."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loaders.errors import SettingsError, UsageError
from loaders.progress import Silent
from loaders.ticks import owners
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.store import Owner
from loaders.tq.tick_days.repair import take_out
from loaders.tq.tick_days.verify import verify
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import questdb as commands
from tests.integration.ticks.conftest import questdb_store  # noqa: F401
from tests.integration.tq.bench import Bench, bench
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import INDEX, SERIES, TRADED, world

AT = datetime(2025, 10, 22, tzinfo=UTC)
ZINC = "KQ.m@SHFE.zn"


def test_a_series_has_the_owner_that_claimed_it_first(questdb_store: QuestdbStore) -> None:  # noqa: F811
    owners.claim(questdb_store, "one", "home one", [SERIES], AT)
    owners.claim(questdb_store, "one", "home one", [SERIES, ZINC], AT)
    with pytest.raises(SettingsError, match=r"warehouse \(home one; since 2025-10-22") as no:
        owners.claim(questdb_store, "two", "home two", [SERIES, "KQ.m@DCE.m"], AT)
    assert f"{owners.TAKE_OVER} {SERIES}" in no.value.hint
    assert {owner.symbol for owner in questdb_store.owners()} == {SERIES, ZINC}, "all or nothing"
    owners.take_over(questdb_store, "two", "home two", [SERIES], AT)
    assert set(owners.foreign(questdb_store, "one")) == {SERIES}
    assert set(owners.foreign(questdb_store, "two")) == {ZINC}
    with pytest.raises(SettingsError, match="home two"):
        owners.require_own(questdb_store, "one", [SERIES, ZINC])


def test_of_two_that_claim_at_once_one_is_refused(
    questdb_store: QuestdbStore,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = QuestdbStore.put_owners

    def beaten(self: QuestdbStore, rows: Sequence[Owner]) -> None:
        put(self, [*rows, *(replace(row, warehouse_id="two", label="home two") for row in rows)])

    monkeypatch.setattr(QuestdbStore, "put_owners", beaten)
    with pytest.raises(SettingsError, match="home two"):
        owners.claim(questdb_store, "one", "home one", [SERIES], AT)


def stamps(made: Bench) -> set[str]:
    return {row[3] for row in made.rows(INDEX)}


def test_a_second_home_is_refused_until_it_takes_the_series_over(
    schedule_dsn: str,
    filled_database: Callable[..., str],
    questdb_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(_: str) -> None:
        raise AssertionError("it is filled")

    environ = {"QUOTEMILL_QUESTDB_URL": questdb_url}
    with (
        bench(world(), schedule_dsn, tmp_path / "one", environ=environ) as one,
        bench(
            world(), filled_database("schedule", never), tmp_path / "two", environ=environ
        ) as two,
    ):
        # a copy of a database is the same warehouse; this one shall be another, of another schedule
        two.execute("update ops.settings set value = 'another' where key = 'warehouse_id'")
        two.execute("update futures.main_schedule set schedule_hash = repeat('f', 16)")
        assert one.load("ticks", until=TRADED[1]).status == "succeeded"
        before = one.rows(INDEX)
        two.asked()
        result = two.load("ticks", until=TRADED[1])
        assert (result.status, result.exit_code) == ("failed", SettingsError.exit_code)
        assert str(tmp_path / "one") in str(result.error)
        assert owners.TAKE_OVER in result.hint
        assert asked_days(two) == 0
        assert two.rows(INDEX) == []
        assert one.load("ticks", until=TRADED[1]).tasks == ()
        assert one.rows(INDEX) == before
        there = open_warehouse(two.settings)
        assert verify(two.settings, there, Silent()).days == 0
        assert take_out(two.settings, there) == 0

        monkeypatch.setattr(commands, "load_settings", lambda: two.settings)
        run = CliRunner().invoke
        asking = run(commands.app, ["take-over"])
        assert isinstance(asking.exception, UsageError)
        assert SERIES in str(asking.exception)
        taken = run(commands.app, ["take-over", SERIES, "--yes", "--json"])
        assert json.loads(taken.stdout) == {"taken": [SERIES]}
        assert two.load("ticks", until=TRADED[1]).status == "succeeded"
        assert asked_days(two) == 0, "what is there is stamped, and not fetched"
        assert [row[:2] for row in two.rows(INDEX)] == [row[:2] for row in before]
        assert stamps(two) == {"f" * 16}
        assert one.load("ticks", until=TRADED[1]).exit_code == SettingsError.exit_code

        of_others = {"varieties": ["SHFE.zn"]}
        without = one.settings.tq.model_copy(update=of_others)
        left = replace(one, settings=one.settings.model_copy(update={"tq": without}))
        assert left.load("ticks").status == "succeeded", "a variety that it let go stops no other"
        assert one.rows(INDEX) == before
        assert left.load("ticks", keys=("SHFE.cu",)).exit_code == SettingsError.exit_code
