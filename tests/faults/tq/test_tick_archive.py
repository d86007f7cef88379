"""`quotemill ticks archive` and `restore`: no kill, loss or revision costs a tick."""

import contextlib
import json
import random
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import typer

from loaders.cli import verify as verify_command
from loaders.engine.progress import Reporter
from loaders.sandbox.tq.world import World
from loaders.ticks.store import NoDataRow, TickStore
from loaders.ticks.tables import MAIN_TICKS
from loaders.tq.tick_archive import files
from loaders.tq.tick_archive.archive import archive_ticks
from loaders.tq.tick_days import verify
from loaders.tq.tick_days.schedule import key_text
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from orchestration.cli import ticks as commands
from quotemill.errors import DataQualityError, LockHeldError, UsageError
from quotemill.ticks.columns import TICKS
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError
from tests.faults import tally
from tests.faults.kills import dice
from tests.faults.points import TICK_ARCHIVE, TICK_DROP, after, in_stores
from tests.faults.tq.tick_archive import (
    DAMAGES,
    FILES,
    LATE,
    READ,
    archive,
    clock,
    damage_file,
    file_of,
    is_whole,
    killed,
    opened,
    read_ticks,
    restore,
    runner,
    verified,
    visible_days,
)
from tests.integration.ticks.servers import SMALL, start
from tests.integration.tq.bench import Bench, bench, build_schedule
from tests.integration.tq.worlds import DAYS, END, FIRST, SERIES, TRADED
from tests.ticks import write_day


def test_days_go_to_files_and_come_back_as_they_were(stored: Bench) -> None:
    assert stored.load("ticks").status == "succeeded"
    before, ledger, then = read_ticks(stored), stored.rows(READ), clock(stored)
    with opened(stored) as store:
        index = [replace(row, updated_at=then) for row in store.index()]

    seen = archive(stored, dry_run=True)
    assert (seen.days, seen.ticks, seen.bytes, seen.exit_code) == (DAYS, DAYS * 150, 0, 0)
    assert not (stored.settings.home / "tick-archive").exists()
    done = archive(stored)
    assert (done.days, done.ticks, done.held, done.damaged) == (DAYS, DAYS * 150, {}, {})
    assert visible_days(stored) == set()
    assert stored.rows(READ) == ledger
    assert stored.rows(FILES) == [(day, files.file_name(day)) for day in TRADED]
    is_whole(stored, archived=DAYS)
    assert archive(stored).days == 0

    # any engine reads them: all 27 columns and more, of each day
    folder = stored.settings.home / "tick-archive"
    table = ds.dataset(folder).to_table()
    assert table.schema.names == TICKS.names
    for key, ticks in before.items():
        day = duckdb.sql(
            f"select * from read_parquet('{folder}/*/*.parquet') "
            f"where symbol = '{key.symbol}' and trading_day = '{key.trading_day}' order by ts, seq"
        )
        rows = [tuple(row.values()) for row in ticks.to_pylist()]
        assert [(row[0].astimezone(UTC), *row[1:]) for row in day.fetchall()] == rows

    back = restore(stored)
    assert (back.days, back.ticks, back.damaged) == (DAYS, DAYS * 150, {})
    assert read_ticks(stored) == before
    assert stored.rows(READ) == ledger
    with opened(stored) as store:
        assert [replace(row, updated_at=then) for row in store.index()] == index
    is_whole(stored, archived=0)
    with pytest.raises(UsageError, match="are archived"):
        restore(stored)
    assert archive(stored).days == DAYS
    is_whole(stored, archived=DAYS)


@pytest.mark.parametrize("point", TICK_ARCHIVE)
def test_what_a_kill_left_undone_the_same_command_does(stored: Bench, point: str) -> None:
    stored.load("ticks")
    before, step = read_ticks(stored), TICK_ARCHIVE[point]
    if step.stage == "restore":
        archive(stored)
    work = {"archive": archive, "restore": restore}[step.stage]
    assert killed(stored, lambda: work(stored), step)
    with contextlib.suppress(UsageError):  # where nothing is left to do
        work(stored)
    if step.stage == "archive":
        assert visible_days(stored) == set()
        is_whole(stored, archived=DAYS)
        assert not list((stored.settings.home / "tick-archive").glob("*/.*"))
        restore(stored)
    assert read_ticks(stored) == before
    is_whole(stored, archived=0)


@pytest.mark.parametrize("turns", [pytest.param(6, marks=pytest.mark.soak, id="many")])
def test_work_killed_again_and_again_and_files_damaged_cost_no_tick(
    stored: Bench, turns: int
) -> None:
    """Each work is killed until a kill comes too late, then done; its files are damaged."""
    assert stored.load("ticks").status == "succeeded"
    rng, before = dice(secrets.randbelow(1_000_000)), held_ticks(stored)
    for _ in range(turns):
        for work in (archive, restore):
            kill_again_and_again(stored, work, rng)
            if work is archive:
                assert visible_days(stored) == set()
                is_whole(stored, archived=DAYS)
                damage_and_put_back(stored, rng)
            else:
                tally.compare("tick archive killed", "tq", held_ticks(stored), before)
                is_whole(stored, archived=0)


def kill_again_and_again(bench: Bench, work: Callable[[Bench], object], rng: random.Random) -> None:
    points = [point for point in TICK_ARCHIVE.values() if point.stage == work.__name__]
    for _ in range(5):
        point = replace(rng.choice(points), nth=rng.randint(1, 4))
        if not killed(bench, lambda: work(bench), point):
            break
    with contextlib.suppress(UsageError):  # the last kill came after the last day
        work(bench)


def held_ticks(bench: Bench) -> dict[str, list[Any]]:
    return {str(key): ticks.to_pylist() for key, ticks in read_ticks(bench).items()}


def damage_and_put_back(bench: Bench, rng: random.Random) -> None:
    """A damaged file is named and nothing else comes of it."""
    day, other = rng.sample(TRADED, 2)
    path, damage = file_of(bench, day), rng.choice(DAMAGES)
    data = path.read_bytes()
    damage_file(path, damage, file_of(bench, other))
    tally.count("tick archive damaged", "tq")
    assert restore(bench, day, day).exit_code == 5
    assert visible_days(bench) == set()
    path.write_bytes(data)


@pytest.mark.parametrize("point", TICK_DROP)
@pytest.mark.parametrize(
    "turns", [pytest.param(1, id="few"), pytest.param(4, marks=pytest.mark.soak, id="many")]
)
def test_a_server_killed_while_days_are_dropped_drops_them_at_the_next(
    in_questdb: Bench,
    questdb_folder: Path,
    questdb_url: str,
    point: str,
    turns: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert in_questdb.load("ticks").status == "succeeded"
    before = held_ticks(in_questdb)
    for _ in range(turns):
        with monkeypatch.context() as patch:
            patch.setenv("FAULTS_VICTIM", f"questdb:{questdb_folder},self")
            assert killed(in_questdb, lambda: archive(in_questdb), TICK_DROP[point])
        port = int(questdb_url.rpartition(":")[2])
        start(questdb_folder, SMALL.model_copy(update={"port": port}))
        archive(in_questdb)
        assert visible_days(in_questdb) == set()
        is_whole(in_questdb, archived=DAYS)
        restore(in_questdb)
        tally.compare("QuestDB and tick archive killed", "tq", held_ticks(in_questdb), before)


def test_a_day_that_is_not_settled_holds_its_partitions(in_questdb: Bench) -> None:
    bench, unsettled = in_questdb, TRADED[3]
    bench.load("ticks")
    with opened(bench) as store:
        [row] = [row for row in store.index() if row.trading_day == unsettled]
        store.put_index([replace(row, status="short", day_volume=row.volume * 2)])
    bench.execute(
        f"update raw_tq.contract_daily set volume = volume * 2 where trade_date = '{unsettled}'"
    )
    done = archive(bench)
    assert (done.days, done.exit_code) == (DAYS - 1, 6)
    assert done.held == {str(unsettled): f"{row.contract} is short"}
    # the day's own session and the one before, whose UTC day has its night session
    assert {str(unsettled), str(TRADED[2])} >= done.waiting.keys()
    assert all(str(unsettled) in why for why in done.waiting.values())
    assert visible_days(bench) == {unsettled}
    assert partitions(bench) >= done.waiting.keys()
    assert str(TRADED[0]) not in partitions(bench)
    verification = verified(bench)
    assert [d for d in verification.differences if "archived" in d.text] == []

    with opened(bench) as store:
        store.put_index([replace(row, status="complete")])
    assert archive(bench).days == 1
    assert visible_days(bench) == set()


def partitions(bench: Bench) -> set[str]:
    assert bench.settings.questdb_url is not None
    with opened(bench) as store:
        http: QuestdbHttp = store._connection.http()  # type: ignore[attr-defined]
        rows = http.rows(f"select name from table_partitions('{MAIN_TICKS.name}')")
        return {row["name"][:10] for row in rows}


def test_ticks_that_the_index_does_not_name_stay_with_their_day(stored: Bench) -> None:
    stored.load("ticks")
    with opened(stored) as store:
        [row] = [row for row in store.index() if row.trading_day == TRADED[2]]
        ticks = store.read_day(row.key)
        early = ticks.slice(0, 1).to_pylist()[0]
        early["ts"] -= timedelta(days=3)
        early["datetime_ns"] -= 3 * 86_400 * 10**9
        write_day(store, pa.concat_tables([ticks, pa.Table.from_pylist([early], TICKS)]))
    done = archive(stored)
    key = key_text(row.key)
    assert done.damaged == {key: f"the index says {row.rows} ticks, the store has {row.rows + 1}"}
    assert (done.days, done.exit_code, visible_days(stored)) == (DAYS - 1, 5, {TRADED[2]})
    with opened(stored) as store:
        assert store.read_day(row.key).num_rows == row.rows + 1
    assert {difference.key for difference in verified(stored).differences} == {key}


def test_a_day_without_minutes_stays(made: Bench) -> None:
    made.execute(f"delete from raw_tq.tick_minute_day where trading_day = '{TRADED[1]}'")
    done = archive(made)
    assert (done.days, list(done.held)) == (DAYS - 1, [str(TRADED[1])])
    assert "minutes" in done.held[str(TRADED[1])]
    assert made.load("ticks").status == "succeeded"
    assert archive(made).exit_code == 0


def test_short_days_on_record_go_on_request(made: Bench) -> None:
    with opened(made) as store:
        [row] = [row for row in store.index() if row.trading_day == TRADED[2]]
        store.put_index([replace(row, status="short")])
        doubtful = NoDataRow(
            *row.key,
            reason="ticks of few lots",
            attempts=2,
            checked_at=clock(made),
            first_checked_at=clock(made),
            nights=1,
            status="doubtful",
        )
        store.put_no_data([doubtful])
        held = {str(TRADED[2]): f"{row.contract} is doubtful"}
        assert archive(made, short=True, dry_run=True).held == held
        store.put_no_data([replace(doubtful, status="short")])
    held = {str(TRADED[2]): f"{row.contract} is short"}
    assert archive(made, dry_run=True).held == held
    done = archive(made, short=True)
    assert (done.days, done.held, visible_days(made)) == (DAYS, {}, set())


def test_the_commands_print_what_went_and_take_the_lock(
    made: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    late = (clock(made) + LATE).isoformat()

    def run(work: Callable[..., None], **options: Any) -> tuple[int, str]:
        with pytest.raises(typer.Exit) as ended:
            work(as_of=late, **options)
        return ended.value.exit_code, capsys.readouterr().out

    there = open_warehouse(made.settings)
    with load_lock(there, "tq_ticks"), pytest.raises(LockHeldError) as held:
        commands.archive(as_of=late, yes=True)
    assert held.value.exit_code == 75
    code, said = run(commands.archive, older_than=60, dry_run=True)
    assert (code, f"{DAYS * 150:,} ticks would be archived" in said) == (0, True)
    made.execute(f"delete from raw_tq.tick_minute_day where trading_day = '{TRADED[0]}'")
    code, said = run(commands.archive, older_than=60, yes=True, json=True)
    shown = json.loads(said)
    assert (code, shown["exit_code"], shown["days"]) == (6, 6, DAYS - 1)
    assert list(shown["held"]) == [str(TRADED[0])]
    file_of(made, TRADED[2]).write_bytes(b"")
    code, said = run(commands.archive, older_than=60, yes=True)
    assert (code, f"damaged: {SERIES}" in said) == (5, True)
    code, said = run(commands.restore, since=str(TRADED[1]), codes="SHFE.cu")
    assert (code, f"{DAYS - 2} days of series" in said) == (5, True)
    with pytest.raises(UsageError, match=f"no ticks of cu from {TRADED[1]} on are archived"):
        commands.restore(since=str(TRADED[1]), codes="cu")
    with pytest.raises(UsageError, match="no days given"):
        commands.restore(until=str(TRADED[1]))


def test_what_differs_while_an_archiving_works_is_not_blamed(
    stored: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_command, "load_settings", lambda: stored.settings)
    stored.load("ticks")
    assert killed(stored, lambda: archive(stored), after(*in_stores("put_index"), nth=3))
    with load_lock(open_warehouse(stored.settings), "tq_ticks"):
        seen = verified(stored)
        assert seen.is_busy
        assert sum("are in the store" in d.text for d in seen.differences) == 3
        with pytest.raises(LockHeldError, match="was at work") as busy:
            verify_command.verify_command("tq")
        assert "verify again" in busy.value.hint
    with pytest.raises(DataQualityError, match="differences between"):
        verify_command.verify_command("tq")

    # one that begins and ends meanwhile
    inner = verify.measure_days

    def beside(store: TickStore, reporter: Reporter) -> Any:
        days = inner(store, reporter)
        archive(stored)
        return days

    with monkeypatch.context() as patch:
        patch.setattr(verify, "measure_days", beside)
        seen = verified(stored)
    assert (seen.is_busy, len(seen.differences)) == (True, DAYS)
    is_whole(stored, archived=DAYS)


@pytest.mark.parametrize("year", [2000, 2099])
def test_a_wrong_clock_costs_no_tick(made: Bench, year: int) -> None:
    before, there = read_ticks(made), open_warehouse(made.settings)
    wrong = datetime(year, 1, 1, tzinfo=UTC)
    done = archive_ticks(made.settings, there, runner(made), made.heard, as_of=wrong)
    assert done.days == (0 if year == 2000 else DAYS)
    is_whole(made, archived=done.days)
    if done.days:  # and by the right one again
        restore(made)
    assert read_ticks(made) == before
    is_whole(made, archived=0)


def test_days_come_back_to_a_server_that_reads_no_files(
    in_questdb: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rows = read_ticks(in_questdb), QuestdbHttp.rows
    archive(in_questdb)

    def elsewhere(self: QuestdbHttp, sql: str) -> list[dict[str, object]]:
        if "read_parquet" in sql:
            raise StoreError("QuestDB refuses: could not open")
        return rows(self, sql)

    monkeypatch.setattr(QuestdbHttp, "rows", elsewhere)
    with opened(in_questdb) as store:
        assert store.way == "ILP over HTTP"  # type: ignore[attr-defined]
    restore(in_questdb)
    assert read_ticks(in_questdb) == before
    is_whole(in_questdb, archived=0)


def test_a_file_that_was_replaced_before_its_index_rows_is_finished(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    served = World(("SHFE.cu", "DCE.m"), first=FIRST, end=END, ticks_per_day=20, default_ticks=20)
    day = TRADED[2]
    with bench(served, new_database(), tmp_path) as made:
        assert made.load().status == "succeeded"
        build_schedule(made)
        assert made.load("ticks").status == "succeeded"
        archive(made)
        [copper] = [c for d, c in made.sandbox.schedule("SHFE.cu") if d == day]
        made.sandbox.faults.add(f"revise-ticks:contract={copper}:day={day}:by=1")
        again = {"since": day, "until": day, "keys": ("SHFE.cu",), "options": {"refetch": "yes"}}
        assert made.load("ticks", **again).status == "succeeded"
        with opened(made) as store:
            [row] = [row for row in store.index() if row.is_visible and not row.is_archived]
            corrected = store.read_day(row.key)
        assert killed(made, lambda: archive(made), after("pathlib:Path.replace"))
        [difference] = verified(made).differences
        assert "though its ticks are" in difference.text
        assert archive(made).contract_days == 1
        assert verified(made).differences == ()
        assert restore(made).days == 2 * DAYS
        whole = read_ticks(made)
        assert len(whole) == 2 * DAYS
        assert whole[row.key] == corrected
        assert verified(made).differences == ()
