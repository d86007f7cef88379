"""Names over time, by dbt's snapshot, and the days of listings."""

from datetime import date

import psycopg

from tests.dbt_parse import Dbt
from tests.integration.dbt.conftest import MODELS, NO_TESTS
from tests.integration.dbt.raw import bar, land, security, touch, trading_day, weekdays

# all is built; a test lands its rows and builds the tables
pytestmark = MODELS
DAYS = weekdays(date(2024, 6, 3), 8)
TABLES = "+symbol_names,config.materialized:followed"
NAMES = ("build", "--select", "resource_type:snapshot", TABLES, *NO_TESTS)
DATES = ("run", "--select", "int_listings__dated", "symbol_dim")
BEGIN, END = date(1900, 1, 1), date(9999, 12, 31)
Conn = psycopg.Connection


def named(code: str, name: str, day: date, **changes: object) -> dict[str, object]:
    return security(code) | {"name": name, "fetched_at": f"{day} 20:00+08"} | changes


def stretches(conn: Conn, code: str) -> list[tuple[object, ...]]:
    query = """
        select name, valid_from, valid_to, is_st, basis from market.symbol_names
        where code = %s order by valid_from
    """
    return conn.execute(query, (code,)).fetchall()


def test_names_over_time_are_what_loads_saw_of_each_code(conn: Conn, dbt: Dbt) -> None:
    # of each code: what a load saw of it before each build
    pf, vanke, paic = "浦发银行", "万 科Ａ", "平安银行"
    lands = {
        "sh600000": [(pf, DAYS[0]), ("*ST浦发", DAYS[2]), (pf, DAYS[5])],
        "sz000001": [("深发展A", DAYS[0]), (paic, DAYS[4])],
        # a code without an answer keeps its name, and so does one without a name
        "sz000002": [(vanke, DAYS[0]), (vanke, DAYS[1]), ("sz000002", DAYS[2])],
        # a wrong clock leaves no name of the future
        "sh600001": [("A", DAYS[0]), ("B", date(2035, 1, 1)), ("C", DAYS[3])],
    }
    for build in range(3):
        for code, seen in lands.items():
            unlisted = {"is_listed": False} if code == "sz000002" and build == 1 else {}
            rows = [named(code, name, day, **unlisted) for name, day in seen[build : build + 1]]
            land(conn, "security", rows)
        dbt(*NAMES)
    expected = {
        "sh600000": [
            (pf, BEGIN, DAYS[0], False, "inferred"),
            (pf, DAYS[0], DAYS[2], False, "observed"),
            ("*ST浦发", DAYS[2], DAYS[5], True, "observed"),
            (pf, DAYS[5], END, False, "observed"),
        ],
        "sz000001": [
            ("深发展A", BEGIN, DAYS[0], False, "inferred"),
            ("深发展A", DAYS[0], DAYS[4], False, "observed"),
            (paic, DAYS[4], END, False, "observed"),
        ],
        "sz000002": [
            (vanke, BEGIN, DAYS[0], False, "inferred"),
            (vanke, DAYS[0], END, False, "observed"),
        ],
        "sh600001": [
            ("A", BEGIN, DAYS[0], False, "inferred"),
            ("A", DAYS[0], DAYS[3], False, "observed"),
            ("C", DAYS[3], END, False, "observed"),
        ],
    }
    assert {code: stretches(conn, code) for code in lands} == expected

    # nor does a full refresh or a list without the codes lose a name
    dbt(*NAMES, "--full-refresh")
    assert {code: stretches(conn, code) for code in lands} == expected
    conn.execute("delete from raw_tdx.security")
    touch(conn, "security")
    dbt(*NAMES)
    assert {code: stretches(conn, code) for code in lands} == expected


def test_a_relation_of_that_name_that_is_not_ours_is_refused(conn: Conn, dbt: Dbt) -> None:
    table = "quotemill_intermediate.int_symbol_names__observed"
    conn.execute("delete from ops.managed_relation where relation_name like '%__observed'")
    assert dbt.fails(*NAMES).refuses("were not built by quotemill", table)


def test_days_of_listings_come_from_gbbq_then_from_later_first_bars(conn: Conn, dbt: Dbt) -> None:
    codes = ("sh600000", "sh600001", "sh600002", "sh600003")
    land(conn, "security", [security(code) | {"is_listed": code < "sh600002"} for code in codes])
    land(conn, "trading_day", [trading_day(day) for day in DAYS])
    first = dict(zip(codes, (0, 0, 3, 3), strict=True))
    land(conn, "kline_daily", [bar(c, day, "9.01") for c in codes for day in DAYS[first[c] : 6]])
    record = {"category": 5, "seq": 1, "value2": 0, "value3": 100, "value4": 400}
    events = [("sh600001", date(2001, 2, 5), 0), ("sh600003", date(2003, 8, 4), 60)]
    land(
        conn,
        "capital_event",
        [{"code": c, "event_date": day, "value1": n, **record} for c, day, n in events],
    )
    dbt(*DATES)
    query = "select code, list_date, list_date_basis, delist_date from market.symbol_dim order by 1"
    assert conn.execute(query).fetchall() == [
        ("sh600000", None, None, None),  # its history begins with the first day loaded
        ("sh600001", date(2001, 2, 5), "capital_event", None),
        ("sh600002", DAYS[3], "first_bar", DAYS[5]),
        ("sh600003", None, None, DAYS[5]),  # suspended on the first day loaded
    ]
