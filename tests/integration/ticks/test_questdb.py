"""Problems of a QuestDB, and how they are reported."""

import json
from datetime import date
from itertools import chain
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loaders.settings import Settings
from loaders.ticks import store_state
from loaders.ticks.day_hash import measured
from loaders.ticks.questdb import connection, server
from loaders.ticks.questdb.day_writer import rows_to_write
from loaders.ticks.questdb.ilp import IlpWriter
from loaders.ticks.questdb.staging import StageWriter
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.tables import MAIN_TICKS, QUESTDB_TABLES
from orchestration.checks import gather
from orchestration.cli import app
from quotemill.errors import SettingsError, UsageError
from quotemill.ticks.questdb_http import QuestdbHttp, StoreError, Suspended
from tests.faults.scene import wait_until
from tests.integration.ticks.servers import SMALL, address_of, open_at, restart, start
from tests.ticks import KEY, day_of_ticks, write_day

TICKS_NAME = MAIN_TICKS.name


def _sql(folder: Path, *statements: str) -> list[dict[str, object]]:
    http = QuestdbHttp(address_of(folder))
    try:
        return [http.rows(statement) for statement in statements][-1]
    finally:
        http.close()


def test_the_tables_are_created_as_declared(
    questdb_store: QuestdbStore, questdb_folder: Path
) -> None:
    for table in QUESTDB_TABLES:
        (stored,) = _sql(
            questdb_folder,
            "select designatedTimestamp, partitionBy, walEnabled, dedup from tables() "
            f"where table_name = '{table.name}'",
        )
        assert list(stored.values()) == ["ts", table.partition, True, True]
        keys = _sql(
            questdb_folder, f"select \"column\" from table_columns('{table.name}') where upsertKey"
        )
        assert {row["column"] for row in keys} == set(table.key)


def test_a_server_of_this_machine_gets_rows_by_a_stage(questdb_store: QuestdbStore) -> None:
    assert isinstance(questdb_store._connection.writer(), StageWriter)
    free = questdb_store._connection.free_bytes()
    assert free is not None
    assert free > 0


def test_a_server_on_another_disk_gets_rows_over_http(
    questdb_store: QuestdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = QuestdbHttp.rows

    def elsewhere(self: QuestdbHttp, sql: str) -> list[dict[str, object]]:
        if "read_parquet" in sql:
            raise StoreError("QuestDB refuses: could not open")
        return rows(self, sql)

    monkeypatch.setattr(QuestdbHttp, "rows", elsewhere)
    assert isinstance(questdb_store._connection.writer(), IlpWriter)
    assert questdb_store._connection.free_bytes() is None
    day = day_of_ticks(100)
    assert write_day(questdb_store, day) == measured(day)


@pytest.mark.parametrize(
    ("ddl", "why"),
    [
        (
            "(symbol symbol, at timestamp) timestamp(at) partition by day wal",
            "is missing the column ts",
        ),
        (
            "({volume_as_double}) timestamp(ts) partition by day wal dedup upsert keys({keys})",
            "has DOUBLE as its column volume, not LONG",
        ),
        (
            "({columns}) timestamp(ts) partition by month wal dedup upsert keys({keys})",
            "is not partitioned by DAY",
        ),
    ],
)
def test_a_foreign_table_of_the_same_name_is_left_alone(
    empty_questdb: Path, ddl: str, why: str
) -> None:
    columns = ", ".join(f"{n} {MAIN_TICKS.questdb_type(n)}" for n in MAIN_TICKS.names)
    made = ddl.format(
        columns=columns,
        keys=", ".join(MAIN_TICKS.key),
        volume_as_double=columns.replace(" volume LONG", " volume DOUBLE"),
    )
    before = _sql(
        empty_questdb,
        f"create table {TICKS_NAME} {made}",
        f"select * from table_columns('{TICKS_NAME}')",
    )
    store = open_at(empty_questdb)
    with pytest.raises(SettingsError) as raised:
        store.prepare()
    store.close()
    assert TICKS_NAME in str(raised.value)
    assert why in str(raised.value)
    assert "RENAME TABLE" in raised.value.hint
    assert _sql(empty_questdb, f"select * from table_columns('{TICKS_NAME}')") == before


@pytest.mark.parametrize(
    ("change", "why", "fix"),
    [
        ("set ttl 1 week", "has a TTL of 1 WEEK", "set ttl 0h"),
        (
            "dedup disable",
            "does not have the keys ts, symbol, underlying_contract, seq",
            "dedup enable upsert keys(ts, symbol, underlying_contract, seq)",
        ),
        ("set type bypass wal", "is no longer written by WAL", "set type wal"),
    ],
)
def test_a_table_that_would_lose_rows_is_refused_with_its_fix(
    questdb_store: QuestdbStore, questdb_folder: Path, change: str, why: str, fix: str
) -> None:
    def alter(statement: str) -> None:
        _sql(questdb_folder, statement)
        if "type" in change:
            restart(questdb_folder)
        else:
            questdb_store._connection.http().wait_applied(TICKS_NAME, 60.0)

    day = day_of_ticks(100)
    write_day(questdb_store, day)
    alter(f"alter table {TICKS_NAME} {change}")
    (problem,) = questdb_store.check()
    assert f"{TICKS_NAME} {why}" in problem.sentence
    with pytest.raises(SettingsError, match=why) as raised:
        questdb_store.prepare()
    statement = raised.value.hint.split("`")[1]
    assert statement.lower() == f"alter table {TICKS_NAME} {fix}"
    alter(statement)
    questdb_store.prepare()
    assert questdb_store.check() == []
    assert questdb_store.measure(*KEY) == measured(day)


def test_a_setting_that_refuses_rows_is_named(
    questdb_store: QuestdbStore, questdb_folder: Path
) -> None:
    store = open_at(questdb_folder, "ilp")

    def load() -> None:
        store.prepare()
        store.write_days([day_of_ticks(10)])

    refusing = {"line.http.enabled": "false", "http.security.readonly": "true", "readonly": "true"}
    try:
        for name, value in refusing.items():
            restart(questdb_folder, {name: value})
            with pytest.raises(SettingsError, match=f" {name} is {value}"):
                load()
    finally:
        store.close()
        restart(questdb_folder)


@pytest.mark.parametrize("way", ["stage", "ilp"])
def test_a_suspended_table_is_named_and_gets_no_rows(
    questdb_store: QuestdbStore, questdb_folder: Path, way: str
) -> None:
    day, longer = day_of_ticks(100), day_of_ticks(150)
    store = open_at(questdb_folder, way)
    write_day(store, day)
    _sql(questdb_folder, f"alter table {TICKS_NAME} suspend wal with 28, 'no space'")
    (problem,) = store.check()
    assert (problem.subject, problem.fix) == (TICKS_NAME, "quotemill questdb resume")
    assert "no space" in problem.sentence
    with pytest.raises(StoreError, match="no space") as raised:
        write_day(store, longer)
    assert "quotemill questdb resume" in raised.value.hint
    assert store.measure(*KEY) == measured(day), "stored rows are still read"
    assert store.resume() == [TICKS_NAME]
    assert store.check() == []
    assert store.measure(*KEY) == measured(day), "nothing had been sent"
    assert write_day(store, longer) == measured(longer)
    store.close()


def test_a_damaged_log_is_left_out_by_name(
    questdb_store: QuestdbStore, questdb_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day, lost = day_of_ticks(100), day_of_ticks(60, KEY._replace(trading_day=date(2025, 11, 17)))
    write_day(questdb_store, day)
    with monkeypatch.context() as patch:
        patch.setattr(QuestdbStore, "_require_sound", lambda self, *tables: None)
        _sql(questdb_folder, f"alter table {TICKS_NAME} suspend wal")
        for unseen in (lost, lost):
            with pytest.raises(Suspended):
                write_day(questdb_store, unseen)
    server.stop(questdb_folder)
    for log in questdb_folder.glob(f"db/{TICKS_NAME}~*/wal*/*/_event"):
        log.write_bytes(bytes(log.stat().st_size))  # as a power cut leaves it
    start(questdb_folder)
    # it meets the damage a moment after its start
    (problem,) = wait_until("the log is read", questdb_store.check)
    assert "--skip" in problem.sentence
    with pytest.raises(Suspended, match=f"transaction 2 of {TICKS_NAME}, written 20") as raised:
        questdb_store.resume()
    assert "`quotemill questdb resume --skip`" in raised.value.hint
    assert f"ALTER TABLE {TICKS_NAME} RESUME WAL FROM TXN 3" in raised.value.hint
    assert "`loaders verify tq --repair`" in raised.value.hint
    monkeypatch.setenv("QUOTEMILL_HOME", str(questdb_folder.parent))
    monkeypatch.setenv("QUOTEMILL_QUESTDB_URL", "local")
    resume = ["questdb", "resume", "--skip"]
    refused = CliRunner().invoke(app, resume)
    assert isinstance(refused.exception, UsageError), refused.output
    done = CliRunner().invoke(app, [*resume, "--yes", "--json"])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["resumed"] == [TICKS_NAME]
    assert [text.partition(" of ")[0] for text in answer["lost"]] == [
        "transaction 2",
        "transaction 3",
    ]
    assert questdb_store.check() == []
    assert questdb_store.measure(*KEY) == measured(day)
    assert write_day(questdb_store, lost) == measured(lost)


def test_a_table_suspended_during_a_load_loses_nothing(
    questdb_store: QuestdbStore, questdb_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = day_of_ticks(100)
    monkeypatch.setattr(QuestdbStore, "_require_sound", lambda self, *tables: None)
    _sql(questdb_folder, f"alter table {TICKS_NAME} suspend wal")
    # the server says OK to the rows
    with pytest.raises(Suspended):
        write_day(questdb_store, day)
    assert questdb_store.measure(*KEY).rows == 0
    questdb_store.resume()
    assert questdb_store.measure(*KEY) == measured(day)


def test_questdb_stores_a_revised_tick_twice_in_parquet(questdb_folder: Path) -> None:
    """Why a write unpacks partitions (docs/decisions/0009); passes as long as it is so."""
    tick = "((x - 1) / 3 * 1000)::timestamp, ((x - 1) % 3)::int"  # three of each stamp
    rows = f"insert atomic into revised select {tick}, {{}} from long_sequence(150000)"
    steps = [
        "create table revised (ts timestamp, seq int, value int) timestamp(ts) partition by day "
        "wal dedup upsert keys(ts, seq)",
        f"{rows.format(1)} union all select '1970-01-05'::timestamp, 0, 1",
        "alter table revised convert partition to parquet where ts < '1970-01-05'",
        rows.format(2),
    ]
    http = QuestdbHttp(address_of(questdb_folder))
    for step in steps:
        http.rows(step)
        http.wait_applied("revised", 60.0)
    # row groups of 100,000: two ticks of the stamp at their border were replaced and stay
    assert http.rows("select value, count() as n from revised order by value") == [
        {"value": 1, "n": 3},
        {"value": 2, "n": 150_000},
    ]
    http.rows("drop table revised")
    http.close()


def test_a_full_disk_is_reported_before_anything_is_written(
    questdb_store: QuestdbStore, questdb_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MIN_FREE", 2**60)
    greedy = open_at(questdb_folder, settings=SMALL)
    with pytest.raises(StoreError, match="GiB ") as raised:
        write_day(greedy, day_of_ticks(10))
    assert raised.value.hint == greedy.check()[0].fix == connection.MORE_SPACE
    greedy.close()
    assert questdb_store.measure(*KEY).rows == 0


def test_a_day_that_reads_back_differently_is_an_error(
    questdb_store: QuestdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "loaders.ticks.questdb.store.rows_to_write",
        lambda *given: (part.slice(1) for part in rows_to_write(*given)),
    )
    monday = KEY._replace(trading_day=date(2025, 11, 17))
    first, second = questdb_store.write_days([day_of_ticks(90), day_of_ticks(100, monday)])
    assert (isinstance(first, StoreError), second.rows) == (True, 100)
    with pytest.raises(StoreError, match=r" 99 rows .* 100 rows"):
        write_day(questdb_store, day_of_ticks(100))


def test_a_series_that_cannot_be_read_back_costs_no_other_of_its_day(
    questdb_store: QuestdbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    zinc = KEY._replace(symbol="KQ.m@SHFE.zn", contract="SHFE.zn2601")
    monkeypatch.setattr(
        "loaders.ticks.questdb.store.rows_to_write",
        lambda http, days: rows_to_write(http, days[:1]),
    )
    days = [day_of_ticks(90), day_of_ticks(80, zinc, seed=1)]
    written, lost = questdb_store.write_days(days)
    assert written == measured(days[0])
    assert isinstance(lost, StoreError)
    assert "SHFE.zn2601" in str(lost)
    assert " 0 rows " in str(lost)


def test_names_with_quotes_are_plain_texts(questdb_store: QuestdbStore) -> None:
    key = KEY._replace(contract="it's'; drop", symbol="KQ.m@'")
    day = day_of_ticks(20, key)
    assert write_day(questdb_store, day) == measured(day)
    assert questdb_store.supersede(*key) == 20


def test_the_doctor_checks_the_store(
    questdb_store: QuestdbStore, questdb_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(home=questdb_folder.parent, questdb_url="local")

    def seen() -> tuple[str, str, str]:
        (check,) = gather.examine(settings, names=["tick store"])
        return check.verdict, check.sentence, check.fix

    assert seen() == ("ok", f"the QuestDB of {settings.home}", "")
    _sql(questdb_folder, f"alter table {TICKS_NAME} suspend wal")
    status, what, fix = seen()
    assert (status, fix) == ("warn", "quotemill questdb resume")
    assert TICKS_NAME in what
    state = store_state.read_state(settings, None)
    assert str(state) == f"the QuestDB of {settings.home}: no ticks yet"
    assert [(check.sentence, check.subject) for check in state.checks] == [(what, TICKS_NAME)]
    questdb_store.resume()
    elsewhere = Settings(home=questdb_folder / "nowhere", questdb_url="local")
    (elsewhere.home / "questdb").mkdir(parents=True)  # a load has started it there
    [check] = [c for c in gather.examine(elsewhere) if c.name == "tick store"]
    assert (check.verdict, check.fix, check.exit_code) == (
        "fail",
        "Run `quotemill questdb start`.",
        4,
    )
    away = store_state.read_state(elsewhere, None)
    assert away.as_json() == {
        "store": f"the QuestDB of {elsewhere.home}",
        "problems": [f"the QuestDB of {elsewhere.home} is not running"],
    }


def test_days_in_parquet_are_measured_like_others(questdb_store: QuestdbStore) -> None:
    for day in (KEY, KEY._replace(trading_day=date(2025, 11, 24))):
        write_day(questdb_store, day_of_ticks(300, day, levels=2))
    before = [*chain(*questdb_store.measure_all())]
    assert sum(part.rows for part in before) == 600
    http = questdb_store._connection.http()
    http.rows(f"alter table {TICKS_NAME} convert partition to parquet where ts < '2025-11-20'")
    http.wait_applied(TICKS_NAME, 60)
    partitions = http.rows(f"select isParquet from table_partitions('{TICKS_NAME}')")
    assert any(partition["isParquet"] for partition in partitions)
    assert [*chain(*questdb_store.measure_all())] == before
