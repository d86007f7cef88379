"""`loaders verify tq` and manifests name what differs, and a download repairs it."""

import json
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from loaders.cli import verify as commands
from loaders.engine.progress import Silent
from loaders.ticks.open_store import store_label
from loaders.ticks.questdb.jar import VERSION
from loaders.tq.tick_days.repair import take_out_unlisted
from loaders.tq.tick_days.verify import Verification, verify
from loaders.warehouse.lock import load_lock
from loaders.warehouse.postgres import open_warehouse
from orchestration.checks import status
from orchestration.cli import manifest as checks
from orchestration.run import manifest
from quotemill.errors import DataQualityError, LockHeldError, UsageError
from tests.integration.tq.bench import Bench, build_schedule
from tests.integration.tq.test_ticks import asked_days
from tests.integration.tq.worlds import DAYS, INDEX, NEW, OLD, ROLL, SERIES, TRADED

TICKS = "ticks.ghtrader_ticks_main_l5_v2"
SCHEDULE, DAY_INDEX = "ticks.ghtrader_main_schedule_v2", "ticks.ghtrader_symbol_day_index_v2"


def verified(made: Bench) -> Verification:
    return verify(made.settings, open_warehouse(made.settings), Silent())


def change_a_price(made: Bench, day: object) -> None:
    """Change the price of one stored tick of a day."""
    made.execute(
        f"update {TICKS} set last_price = last_price + 10 where (ts, seq) in "
        f"(select ts, seq from {TICKS} where trading_day = '{day}' limit 1)"
    )


def test_loaded_ticks_pass_verification(made: Bench) -> None:
    verification = verified(made)
    assert (verification.days, verification.rows, verification.differences) == (
        DAYS,
        DAYS * 150,
        (),
    )
    assert verification.as_json()["first_l5_days"] == {"SHFE.cu": str(TRADED[0])}
    shown = status.read_status(made.settings, open_warehouse(made.settings))
    label = store_label(made.settings)
    expected = f"{label}: {DAYS * 150:,} ticks on {DAYS} days of 1 series, up to {TRADED[-1]}"
    assert str(shown.ticks) == expected
    assert [c.verdict for c in shown.ticks.checks] == ["ok"]
    assert shown.as_json()["tick_store"] == {
        "store": label,
        "series": 1,
        "days": DAYS,
        "ticks": DAYS * 150,
        "last_day": TRADED[-1],
        "problems": [],
    }


def test_every_difference_is_named_and_a_repair_downloads_just_those_days(
    made: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = made.rows(INDEX)
    change_a_price(made, "2025-10-15")
    made.execute(f"delete from {TICKS} where trading_day = '2025-10-21' and volume % 3 = 0")
    made.execute("update raw_tq.symbol_day set rows = 7 where trading_day = '2025-10-22'")
    made.execute(f"delete from {TICKS} where trading_day = '2025-10-20'")
    verification = verified(made)
    expected = {
        (d.subject.rpartition(" ")[2], d.figures["difference"].partition(":")[0])
        for d in verification.differences
    }
    assert {
        ("2025-10-15", "row_hash"),
        ("2025-10-21", "rows"),
        ("2025-10-21", "row_hash"),
        ("2025-10-20", "the index has 150 ticks, but the store has none"),
    } <= expected
    assert ("2025-10-22", "its row in raw_tq.symbol_day differs from the store's index") in expected
    assert ("2025-10-15", "rows") not in expected
    assert {key.rpartition(" ")[2] for key in verification.repairable} == {
        "2025-10-15",
        "2025-10-21",
        "2025-10-20",
    }

    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    with pytest.raises(DataQualityError, match="differences between the ticks and their index"):
        commands.verify_command("tq")
    output = capsys.readouterr().out
    assert "SHFE.cu2511 2025-10-15: row_hash" in output
    assert f"SHFE.cu: five levels of the order book from {TRADED[0]} on" in output
    made.asked()
    commands.verify_command("tq", repair=True, as_of=made.sandbox.clock.isoformat())
    assert asked_days(made) == 3
    assert ", 0 differences, " in capsys.readouterr().out.replace(": ", ", ")
    assert made.rows(INDEX) == before
    assert verified(made).differences == ()


def test_a_repair_writes_nothing_while_a_load_of_ticks_runs(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    outgrown = "trading_day = '2025-10-15'"
    made.execute(f"update {DAY_INDEX} set status = 'superseded' where {outgrown}")
    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    seen = f"select count(*) from {TICKS} where {outgrown} and not is_deleted"
    with load_lock(open_warehouse(made.settings), "tq_ticks"):
        with pytest.raises(LockHeldError, match="another load of tq_ticks holds the lock"):
            commands.verify_command("tq", repair=True)
        with pytest.raises(LockHeldError):
            commands.verify_command("tq", accept=[f"{SERIES} {OLD} 2025-10-15"])
        assert made.rows(seen) == [(150,)]
    commands.verify_command("tq", repair=True, as_of=made.sandbox.clock.isoformat())
    assert made.rows(seen) == [(0,)]


def test_a_day_that_cannot_be_had_again_differs_until_its_loss_is_accepted(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, sound = (f"{SERIES} {OLD} 2025-10-{day}" for day in (15, 16))
    made.execute(f"delete from {TICKS} where trading_day = '2025-10-15' and volume % 3 = 0")
    made.sandbox.faults.add(f"empty:contract={OLD}:day=2025-10-15")
    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    at = made.sandbox.clock.isoformat()
    for _ in range(2):
        with pytest.raises(DataQualityError) as differs:
            commands.verify_command("tq", repair=True, as_of=at)
    assert "--accept KEY" in differs.value.hint

    before = made.rows(INDEX)
    for wrong in ("SHFE.cu", sound, f"{SERIES} {NEW} 2025-10-15"):
        with pytest.raises(UsageError, match=wrong):
            commands.verify_command("tq", accept=[lost, wrong], as_of=at)
    assert made.rows(INDEX) == before
    made.asked()
    commands.verify_command("tq", accept=[lost], as_of=at)
    assert asked_days(made) == 0
    revised = (
        "select trading_day::text, old_contract, new_contract, new_hash from raw_tq.tick_revision"
    )
    assert made.rows(revised) == [("2025-10-15", OLD, OLD, None)]
    result = made.load("ticks")
    [(key, why)] = [item for task in result.tasks for item in task.failures.items()]
    assert (key, asked_days(made)) == (lost, 1)
    assert "retried by each load until 2025-11-14" in why
    assert verified(made).differences == ()


def test_a_schedule_that_is_not_dbt_s_is_named_and_fixed_without_download(
    made: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.execute(
        f"update {SCHEDULE} set segment_id = 9 where trading_day = '{TRADED[1]}'; "
        f"delete from {SCHEDULE} where trading_day in ('{TRADED[2]}', '{TRADED[-1]}')"
    )
    [difference] = verified(made).differences
    assert difference.subject == f"KQ.m@SHFE.cu {OLD} {TRADED[1]}"
    assert "segment_id is 9, in dbt's 1" in difference.sentence
    assert "3 days of the series differ" in difference.sentence
    monkeypatch.setattr(commands, "load_settings", lambda: made.settings)
    made.asked()
    commands.verify_command("tq", repair=True, as_of=made.sandbox.clock.isoformat())
    assert made.asked() == []
    assert verified(made).differences == ()
    made.sandbox.set_clock("2025-10-24")
    build_schedule(made)  # days that no load has come to are no difference
    assert verified(made).differences == ()


def test_stamps_and_days_missing_in_the_index_are_fixed_without_download(
    made: Bench,
) -> None:
    made.execute(
        f"update {TICKS} set schedule_hash = 'another' where trading_day = '{TRADED[0]}'; "
        # killed before its row was written; then the schedule has the day no more
        f"delete from {DAY_INDEX} where trading_day = '{TRADED[1]}'; "
        f"delete from raw_tq.symbol_day where trading_day = '{TRADED[1]}'; "
        f"delete from futures.main_schedule where trading_day = '{TRADED[1]}'; "
        f"delete from {SCHEDULE} where trading_day = '{TRADED[1]}'; "
        # or is superseded, and its ticks were left
        f"update {DAY_INDEX} set status = 'superseded' where trading_day = '{TRADED[-1]}'; "
        f"update raw_tq.symbol_day set status = 'superseded' where trading_day = '{TRADED[-1]}'"
    )
    by_day = {d.subject.rpartition(" ")[2]: d for d in verified(made).differences}
    assert {day: d.figures["difference"].partition(":")[0] for day, d in by_day.items()} == {
        str(TRADED[0]): "schedule_hash",
        str(TRADED[1]): "not in the index, although 150 ticks are visible",
        str(TRADED[-1]): "superseded, but 150 of its ticks are still visible",
    }
    assert not any(d.figures["needs_download"] for d in by_day.values())
    assert take_out_unlisted(made.settings, open_warehouse(made.settings)) == 300
    assert verified(made).differences == ()
    assert made.rows(f"select count(*) from {TICKS} where not is_deleted") == [(150 * (DAYS - 2),)]


def test_a_manifest_lists_the_built_tables_and_is_checked(made: Bench) -> None:
    warehouse = open_warehouse(made.settings)
    with pytest.raises(UsageError, match="no manifest in"):
        manifest.newest(made.settings, warehouse)
    first = manifest.write(made.settings, warehouse, 1)
    second = manifest.write(made.settings, warehouse, 2)
    assert first is not None
    assert second is not None
    document = json.loads(second.read_text())
    days_by_contract = {c: [d for d in TRADED if (d < ROLL) == (c == OLD)] for c in (OLD, NEW)}
    copper = document["sources"]["tq"]["varieties"]["SHFE.cu"]
    assert [(s["contract"], s["complete_days"], s["rows"]) for s in copper["segments"]] == [
        (contract, len(days), 150 * len(days)) for contract, days in days_by_contract.items()
    ]
    assert copper["schedule_hash"] == copper["segments"][-1]["schedule_hash"]
    assert document["previous"]["file"] == first.name
    assert not list(first.parent.glob("*.part"))
    for secret in ("sandbox-password", '"account"', made.sandbox.url):
        assert secret not in second.read_text()
    assert manifest.newest(made.settings, warehouse) == second
    assert {c.verdict for c in manifest.check(made.settings, warehouse, second)} == {"ok"}

    made.execute("update raw_tq.symbol_day set rows = rows - 1 where trading_day = '2025-10-22'")
    [differing] = [c for c in manifest.check(made.settings, warehouse, second) if c.verdict != "ok"]
    rows = 150 * len(days_by_contract[NEW])
    assert (differing.name, differing.verdict, differing.exit_code) == ("tq", "fail", 5)
    where = "tq.varieties.SHFE.cu.segments[1].rows"
    assert re.fullmatch(rf"{re.escape(where)}: {rows} .*, .* {rows - 1}", differing.sentence)
    first.write_text(first.read_text() + " ")
    assert "was changed" in manifest.check(made.settings, warehouse, second)[-1].sentence
    first.unlink()
    assert "does not exist" in manifest.check(made.settings, warehouse, second)[-1].sentence
    second.write_text("{}")
    with pytest.raises(UsageError, match="is not a manifest"):
        manifest.check(made.settings, warehouse, second)


def test_a_manifest_of_a_plain_dbt_build_is_written_by_command(
    made: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local = made.settings.model_copy(update={"questdb_url": SecretStr("local")})
    monkeypatch.setattr(checks, "load_settings", lambda: local)
    checks.write_command(json=True)
    document = json.loads(Path(json.loads(capsys.readouterr().out)["path"]).read_text())
    made_with = document["sources"]["tq"]["made_with"]
    assert (document["build_id"], made_with["versions"]["questdb-server"]) == (None, VERSION)
    monkeypatch.setattr(checks, "load_settings", lambda: made.settings)
    checks.check_command()
    made.execute(
        "insert into ops.runs (run_id, command, build_id, fingerprint, finished_at, exit_code) "
        "values ('build-1', '', 1, '', now(), 1)"
    )
    with pytest.raises(UsageError, match=r"build \(1\) "):
        checks.write_command()
    made.execute("update ops.runs set exit_code = 0; drop table futures.main_schedule")
    with pytest.raises(UsageError, match="no futures are built"):
        checks.write_command()


def test_a_longer_window_changes_no_manifest(made: Bench) -> None:
    warehouse = open_warehouse(made.settings)
    path = manifest.write(made.settings, warehouse, 1)
    assert path is not None
    made.sandbox.set_clock("2025-10-24")
    build_schedule(made)
    assert made.rows("select max(trading_day)::text from futures.main_schedule") == [
        ("2025-10-24",)
    ]
    assert {c.verdict for c in manifest.check(made.settings, warehouse, path)} == {"ok"}
