"""New, standing and acknowledged findings: what rings, what does not, and what is remembered."""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest

from loaders.settings import load_settings
from loaders.tdx.tables import TABLES
from loaders.warehouse.migrate import prepare
from orchestration.alerts import causes
from orchestration.run import findings
from orchestration.run.findings import Judgement
from orchestration.run.lags import read_lags
from orchestration.run.stages import RunResult
from quotemill.errors import UsageError
from quotemill.warehouse.postgres import Warehouse

DAY = date(2024, 1, 2)
ERROR = ("ohlc_order", "error", "sh600000", DAY, "high 9 below open 10")


@pytest.fixture(scope="module")
def prepared(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A warehouse whose qa.findings is a table, for tests to fill."""
    url = new_database()
    prepare(
        Warehouse(url, "test", False, "market", None, "w", tmp_path_factory.mktemp("h")), TABLES
    )
    with psycopg.connect(url) as conn:
        conn.execute(
            "create table qa.findings (check_name text, severity text, subject text, "
            "trade_date date, evidence text, model text)"
        )
    return url


@pytest.fixture
def conn(prepared: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(prepared, autocommit=True) as connection:
        connection.execute("truncate qa.findings, ops.seen_findings restart identity")
        connection.execute("delete from ops.settings where key = 'judgement:qa'")
        yield connection


def write_findings(conn: psycopg.Connection, *rows: tuple[object, ...]) -> None:
    """These are the findings of the night."""
    conn.execute("truncate qa.findings")
    with conn.cursor() as cur:
        insert = "insert into qa.findings values (%s, %s, %s, %s, %s, %s)"
        cur.executemany(insert, [row if len(row) == 6 else (*row, "qa_bars") for row in rows])


def night(
    conn: psycopg.Connection, *rows: tuple[object, ...], is_reported: bool = True
) -> Judgement:
    """Judge these rows as a run's findings.

    The flag is off where a more severe exit code hides them.
    """
    write_findings(conn, *rows)
    with conn.transaction():
        judged = findings.judge(conn, "qa", report=is_reported, lists=True)
        assert judged.listed == tuple(findings.list_findings(conn, "qa"))
        return judged


def states(conn: psycopg.Connection) -> list[tuple[str, str]]:
    return [(finding.check_name, finding.state) for finding in findings.list_findings(conn, "qa")]


def test_a_finding_rings_once_and_stands_until_it_is_gone(conn: psycopg.Connection) -> None:
    assert night(conn, ERROR).ringing == 1
    assert states(conn) == [("ohlc_order", "new")]

    again = night(conn, ERROR)
    assert (again.ringing, again.new, again.counts) == (0, {}, {"error": 1})
    assert states(conn) == [("ohlc_order", "standing")]

    night(conn)
    assert findings.list_findings(conn, "qa") == []
    assert night(conn, ERROR).ringing == 1


def test_errors_hidden_by_another_exit_code_keep_one_alert(
    conn: psycopg.Connection, tmp_path: Path
) -> None:
    def state(*rows: tuple[object, ...]) -> str:
        judged = night(conn, *rows, is_reported=False)
        checked = causes.check_run(
            RunResult((), 6, judgement=judged), load_settings({}, home=tmp_path)
        )
        assert checked["qa"] is not None
        return checked["qa"].state

    first = state(ERROR)
    assert state(ERROR) == first
    assert state(ERROR, ("stale_dataset", "error", "kline_daily", None, "late")) != first


def test_a_new_error_rings_beside_standing_ones(conn: psycopg.Connection) -> None:
    others = [("ohlc_order", "error", f"sh60{i:04d}", DAY, "as ever") for i in range(300)]
    night(conn, *others)
    judged = night(conn, *others, ERROR)
    assert (judged.counts, judged.new, judged.ringing) == ({"error": 301}, {"error": 1}, 1)
    assert str(judged) == "301 errors (1 new)"
    assert [f.subject for f in findings.list_findings(conn, "qa", states=("new",))] == ["sh600000"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            ("tick_day", "error", "sh600000", DAY, "9 ticks"),
            ("tick_day", "error", "sh600000", DAY, "8 ticks"),
        ),
        (
            ("stale_dataset", "warning", "kline_daily", DAY, "1 trading day behind 2024-01-03"),
            ("stale_dataset", "warning", "kline_daily", date(2024, 1, 3), "2 trading days behind"),
        ),
        (
            ("no_corporate_action_source", "warning", "corporate_actions", None, "one"),
            ("no_corporate_action_source", "warning", "corporate_actions", None, "another"),
        ),
    ],
)
def test_other_figures_do_not_make_a_finding_new(
    conn: psycopg.Connection, before: tuple[object, ...], after: tuple[object, ...]
) -> None:
    night(conn, before)
    assert night(conn, after).new == {}
    assert night(conn, before).new == {}


@pytest.mark.parametrize(
    "other",
    [
        ("price_jump", "error", "sh600000", DAY, "high 9 below open 10"),
        ("ohlc_order", "error", "sh600001", DAY, "high 9 below open 10"),
        ("ohlc_order", "error", "sh600000", date(2024, 1, 3), "high 9 below open 10"),
        ("ohlc_order", "error", "sh600000", None, "high 9 below open 10"),
    ],
)
def test_another_check_subject_or_date_is_another_finding(
    conn: psycopg.Connection, other: tuple[object, ...]
) -> None:
    night(conn, ERROR)
    assert night(conn, ERROR, other).ringing == 1


def test_a_warning_that_becomes_an_error_rings(conn: psycopg.Connection) -> None:
    night(conn, ("tick_day", "warning", "sh600000", DAY, "few"))
    assert night(conn, ("tick_day", "error", "sh600000", DAY, "few")).ringing == 1


def test_evidence_distinguishes_findings_of_one_key(conn: psycopg.Connection) -> None:
    def refused(field: str) -> tuple[object, ...]:
        return ("rejected_row", "error", "kline_daily sh600000", None, f"{field} breaks a rule")

    night(conn, refused("high"))
    assert night(conn, refused("high"), refused("low")).new == {"error": 1}
    assert night(conn, refused("low"), refused("high")).new == {}
    assert night(conn, refused("low"), refused("volume")).new == {"error": 1}
    assert night(conn, refused("low")).new == {}
    assert night(conn, refused("low"), refused("low")).counts == {"error": 1}


def test_an_error_hidden_by_another_exit_code_rings_in_the_next_run(
    conn: psycopg.Connection,
) -> None:
    assert night(conn, ERROR, is_reported=False).ringing == 1
    hidden = night(conn, ERROR)
    assert (hidden.new, hidden.ringing) == ({}, 1)
    assert night(conn, ERROR).ringing == 0


def test_a_failed_build_forgets_nothing_and_its_new_findings_ring_once(
    conn: psycopg.Connection,
) -> None:
    night(conn, ERROR)
    other = ("bad_bar", "error", "sh600009", DAY, "of a source that was built")
    for ringing in (1, 0):
        write_findings(conn, other)
        with conn.transaction():
            failed = findings.judge(conn, "qa", unbuilt=["qa_bars"], report=True)
        assert (failed.counts, failed.ringing) == ({"error": 1}, ringing)
    assert night(conn, ERROR, other).new == {}
    write_findings(conn)
    with conn.transaction():
        assert findings.judge(conn, "qa", unbuilt=None).counts == {}
    assert night(conn, ERROR, other).new == {}


@pytest.mark.parametrize("is_built", [True, False])
def test_what_cannot_be_read_or_built_keeps_no_other_finding(
    conn: psycopg.Connection, is_built: bool
) -> None:
    unread = ("check_failed", "error", "qa_options", None, "cannot be read", "qa_options")
    known = ("oi_late", "error", "AAPL", DAY, "late", "qa_options")
    unbuilt = () if is_built else ("qa_options",)

    def judge(*rows: tuple[object, ...]) -> Judgement:
        write_findings(conn, *rows, *([unread] if is_built else []))
        with conn.transaction():
            return findings.judge(conn, "qa", unbuilt=unbuilt, report=True)

    night(conn, ERROR, known)
    first, second, back = judge(ERROR), judge(), judge(ERROR)

    checks = ("qa_options",) if is_built else ()
    assert [(j.ringing, j.unread) for j in (first, second, back)] == [
        (int(is_built), checks),
        (0, checks),
        (1, checks),
    ]
    assert night(conn, ERROR, known).ringing == 0
    assert str(back).endswith("; cannot be read: qa_options") == is_built
    if is_built:
        judge()
        assert findings.acknowledge(conn, "qa", ["check_failed"], "known", "ann@desk", None) == 1
        assert judge().unread == ()


def test_acknowledged_findings_are_listed_as_such_until_they_vanish(
    conn: psycopg.Connection,
) -> None:
    jump = ("price_jump", "warning", "sh600001", DAY, "open 5")
    night(conn, ERROR, jump, ("price_jump", "warning", "sh600002", DAY, "open 6"))
    number = findings.list_findings(conn, "qa", severity="error")[0].number
    assert number is not None

    assert findings.acknowledge(conn, "qa", [str(number)], "halted", "ann@desk", None) == 1
    assert findings.acknowledge(conn, "qa", ["price_jump"], "known", "ann@desk", None) == 2

    listed = findings.list_findings(conn, "qa")
    assert {finding.state for finding in listed} == {"acknowledged"}
    assert (listed[0].reason, listed[0].acknowledged_by) == ("halted", "ann@desk")
    assert listed[0].acknowledged_at is not None
    judged = night(conn, ERROR, jump)
    assert str(judged) == "1 error (1 acknowledged), 1 warning (1 acknowledged)"
    night(conn)
    assert night(conn, ERROR).ringing == 1
    with pytest.raises(UsageError, match=" nonsense"):
        findings.acknowledge(conn, "qa", ["nonsense"], "?", "ann@desk", None)


def test_a_finding_no_run_has_judged_can_be_acknowledged(
    conn: psycopg.Connection,
) -> None:
    jump = ("price_jump", "error", "sh600001", DAY, "open 5")
    write_findings(conn, ERROR, jump)
    assert [finding.number for finding in findings.list_findings(conn, "qa")] == [None, None]
    assert findings.acknowledge(conn, "qa", ["price_jump"], "known", "ann@desk", None) == 1
    judged = night(conn, ERROR, jump)
    assert judged.ringing == 1
    assert dict(states(conn)) == {"ohlc_order": "new", "price_jump": "acknowledged"}


def test_one_of_several_alike_is_acknowledged_before_any_run(conn: psycopg.Connection) -> None:
    alike = [("no_recent_bar", "warning", "kline_daily", DAY, code) for code in ("a", "b")]
    late = ("stale_dataset", "warning", "kline_daily", None, "nothing loaded")
    write_findings(conn, *alike, late)
    first, second, stale = findings.list_findings(conn, "qa")
    assert (first.number, second.number, stale.number) == (None, None, None)
    names = (second.key, stale.key)
    assert findings.acknowledge(conn, "qa", names, "known", "me", None) == 2
    known = findings.list_findings(conn, "qa", states=("acknowledged",))
    assert [(f.check_name, f.evidence) for f in known] == [
        ("no_recent_bar", "b"),
        ("stale_dataset", "nothing loaded"),
    ]
    with pytest.raises(UsageError, match="f0000"):
        findings.acknowledge(conn, "qa", ["f" + "0" * 32], "known", "me", None)


def test_each_market_schema_has_separate_findings(conn: psycopg.Connection) -> None:
    night(conn, ERROR)
    with conn.transaction(force_rollback=True):
        conn.execute("create schema qa_cn; create table qa_cn.findings as table qa.findings")
        assert [finding.state for finding in findings.list_findings(conn, "qa_cn")] == ["new"]
        assert findings.judge(conn, "qa_cn", report=True).ringing == 1
        conn.execute("drop table matched, found_findings")
        assert findings.judge(conn, "qa").new == {}
        assert [finding.state for finding in findings.list_findings(conn, "qa")] == ["standing"]


def test_thirty_thousand_standing_findings_cost_no_row(conn: psycopg.Connection) -> None:
    rows = (
        "insert into qa.findings select 'missing_bars', 'warning', 'sh' || 600000 + i %% 3000, "
        "date '2024-01-01' + i / 3000, %s || i from generate_series(1, 30000) as i"
    )
    conn.execute(rows, ("gap ",))
    with conn.transaction():
        assert findings.judge(conn, "qa").new == {"warning": 30_000}
    written = (
        "select n_tup_ins + n_tup_upd + n_tup_del from pg_stat_user_tables "
        "where relid = 'ops.seen_findings'::regclass"
    )
    conn.execute("select pg_stat_force_next_flush()")
    before = conn.execute(written).fetchone()
    with conn.transaction():
        assert findings.judge(conn, "qa").new == {}
    conn.execute("select pg_stat_force_next_flush()")
    assert conn.execute(written).fetchone() == before


def test_the_lag_of_a_source_is_that_of_its_latest_dataset(conn: psycopg.Connection) -> None:
    conn.execute(
        "create table qa.freshness (dataset text, source text, last_date date, "
        "expected_date date, is_stale boolean, lag_trading_days int)"
    )
    rows = [
        ("codes", "tdx", date(2024, 1, 9), date(2024, 1, 9), False, 0),
        ("kline_daily", "tdx", DAY, date(2024, 1, 9), True, 5),
        ("minute_1m", "tdx", date(2023, 1, 3), date(2024, 1, 9), True, 240),
        ("index_kline", "tdx", None, date(2024, 1, 9), True, None),
        ("main_events", "tq", date(2024, 1, 9), date(2024, 1, 8), False, 0),
    ]
    conn.cursor().executemany("insert into qa.freshness values (%s, %s, %s, %s, %s, %s)", rows)
    abandoned = ("stale_dataset", "warning", "minute_1m", None, "240 trading days behind")
    night(conn, abandoned)

    def lags() -> list[tuple[str, str, int, str]]:
        return [(x.source, x.dataset, x.days, x.late) for x in read_lags(conn, "qa")]

    on_time = ("tq", "main_events", 0, "")
    assert lags() == [("tdx", "minute_1m", 240, "kline_daily minute_1m"), on_time]
    # a further late dataset is another state of the alert, though it is not the latest
    conn.execute(
        "update qa.freshness set is_stale = true, lag_trading_days = 1 where dataset = 'codes'"
    )
    assert lags()[0] == ("tdx", "minute_1m", 240, "codes kline_daily minute_1m")
    findings.acknowledge(conn, "qa", ["stale_dataset"], "not loaded any more", "me", None)
    assert lags() == [("tdx", "kline_daily", 5, "codes kline_daily"), on_time]
    conn.execute("drop table qa.freshness")
