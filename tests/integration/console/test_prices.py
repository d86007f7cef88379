"""Prices on the pages, over tables with the columns that the models declare."""
# ruff: noqa: F811

import html
import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest

from orchestration.console.pages import prices as pages
from quotemill.readers import klines
from tests.integration.console.conftest import Caller, Open
from tests.integration.console.pages import NASTY
from tests.integration.console.price_tables import CODE, DAYS, caller, insert  # noqa: F401


def read_chart(text: str) -> dict[str, str]:
    """What the script of a page's chart starts from."""
    [figure] = re.findall(r"<figure class=\"chart\" data-bars([^>]*)>", text)
    return {n: html.unescape(v) for n, v in re.findall(r'data-(\w+)="([^"]*)"', figure)}


def read_lines(text: str) -> Any:
    """The lines of figures that the script of a page draws."""
    [lines] = re.findall(r'data-lines="([^"]*)"', text)
    return json.loads(html.unescape(lines))


ROW = re.compile(
    r'<tr><th scope="row" class="d">([\d-]+)</th><td class="n">([\d.]+)</td>'
    r'<td class="n">([\d.]+)</td><td class="n">([\d.]+)</td><td class="n">([\d.]+)</td>'
    r'<td class="n">(\d+)</td><td class="n">[\d,.]+</td></tr>'
)


def test_the_chart_of_a_page_draws_the_numbers_of_its_table(caller: Caller) -> None:
    text = caller.get(f"/prices?code={CODE}&adjust=qfq").text
    rows = ROW.findall(text)
    assert rows == [
        (str(day), "10.00", "12.00", "9.00", f"{(1000 + n) / 100:.2f}", str(n))
        for n, day in reversed(list(enumerate(DAYS))[50:])
    ]
    chart = read_chart(text)
    assert (chart["first"], chart["last"], chart["until"]) == (
        str(DAYS[0]),
        str(DAYS[-1]),
        str(DAYS[-1]),
    )
    # as the script asks, and writes what it draws
    drawn = [
        (
            row[chart["time"]],
            *(f"{row[n]:.{chart['least']}f}" for n in ("open", "high", "low", "close")),
            str(row[chart["volume"]]),
        )
        for row in caller.json(f"{chart['address']}&start={DAYS[50]}&end={DAYS[-1]}")["rows"]
    ]
    assert drawn == rows[::-1]
    [place] = map(html.unescape, re.findall(r'data-rows="([^"]+)"', text))
    part = caller.get(f"{place}&start={DAYS[3]}&end={DAYS[5]}").text
    assert [row[0] for row in ROW.findall(part)] == [str(day) for day in DAYS[5:2:-1]]
    assert " 250 of 300" in caller.get(f"{place}&start={DAYS[0]}&end={DAYS[-1]}").text
    assert f'<li data-day="{DAYS[250]}">{DAYS[250]}: cash 1.5/10</li>' in text
    for query, says in (
        (f"code={NASTY}", "not a code"),
        ("code=sh600001", "there is no sh600001"),
        (f"code={CODE}&end=0001-01-01", "before the first bar"),
        (f"code={CODE}&freq=5m&adjust=none&end={DAYS[9]}", f'data-until="{DAYS[9]}"'),
    ):
        answer = caller.get(f"/prices?{query}")
        assert answer.status_code == 200
        assert says in answer.text
        assert NASTY not in answer.text
    assert caller.get("/prices?code=%00").status_code == 422
    assert caller.get(f"/prices/bars?code={CODE}&freq=1d&adjust=qfq").status_code == 422


@pytest.mark.parametrize("adjust", ["none", "hfq"])
def test_bars_that_are_not_kept_so_are_shown_as_they_are(caller: Caller, adjust: str) -> None:
    text = caller.get(f"/prices?code={CODE}&freq=1w&adjust={adjust}").text
    assert re.search("forward-adjusted, .* qfq", text)
    assert "freq=1w&adjust=qfq" in read_chart(text)["address"]
    assert ROW.findall(text)
    index = caller.get("/prices?code=sh000001&adjust=qfq").text
    assert re.search("sh000001 .* index, .* none", index)


def test_pages_of_futures_and_options_draw_what_the_tables_have(caller: Caller) -> None:
    text = caller.get("/prices/futures?variety=SHFE.au").text
    roll = f"{DAYS[200]}: SHFE.au2408 → SHFE.au2410"
    assert f'<li data-day="{DAYS[200]}">{roll}</li>' in text
    chart = read_chart(text)
    rows = caller.json(f"{chart['address']}&start={DAYS[298]}&end={DAYS[299]}")["rows"]
    assert [(row["trading_day"], row["close"]) for row in rows] == [
        (str(DAYS[298]), 500.0),
        (str(DAYS[299]), None),
    ]
    [place] = map(html.unescape, re.findall(r'data-rows="([^"]+)"', text))
    part = caller.get(f"{place}&start={DAYS[298]}&end={DAYS[299]}")
    shown = re.findall(r'<th scope="row" class="d">([\d-]+)</th>', part.text)
    assert shown == [str(DAYS[299]), str(DAYS[298])]
    text = caller.get("/prices/options?symbol=BRK+B").text
    assert text.count('<td class="n">18.40</td>') == 6
    assert '<a href="/prices" aria-current="true">' in text  # of all pages, of those of prices
    assert '<a href="/prices/options" aria-current="page">' in text
    series = read_lines(text)["series"]
    assert {name: [point[:2] for point in line] for name, line in series.items()} == {
        kind: [[90, 0.2], [100, 0.2], [110, 0.2]] for kind in ("call", "put")
    }
    page = "/prices/options?symbol=BRK+B&slot=10:00&expiry="
    assert "data-lines" not in caller.get(page).text  # no volatility is a number
    for wrong in (f"futures?variety={NASTY}", f"options?symbol={NASTY}", "options?symbol=NOPE"):
        answer = caller.get(f"/prices/{wrong}")
        assert (answer.status_code, NASTY in answer.text) == (200, False)


def test_options_show_one_class_at_a_time(caller: Caller, prepared_dsn: str) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "update options.chain_daily_clean set local_symbol = "
            "case strike when 100 then '2BRKB 26' else 'BRKB 26' end"
        )
    for own, others, strikes in (("BRKB", "", [90, 110]), ("2BRKB", "&class=2BRKB", [100])):
        text = caller.get(f"/prices/options?symbol=BRK+B{others}").text
        assert f"<option selected>{own}</option>" in text
        series = read_lines(text)["series"]
        drawn = [[point[0] for point in series[kind]] for kind in ("call", "put")]
        assert drawn == [strikes, strikes]
        shown = text.partition('id="chain"')[2]
        assert shown.count(f"<td>{own}</td>") == shown.count("<tr>") - 1 == 2 * len(strikes)


def test_a_search_is_by_code_name_or_initials_and_by_sector(
    caller: Caller, prepared_dsn: str
) -> None:
    names = {"sh600036": "招商银行", "sh601318": "中国平安", "sz000002": "万  科Ａ"}
    with psycopg.connect(prepared_dsn) as conn:
        rows = [{"code": c, "name": n, "instrument_type": "stock"} for c, n in names.items()]
        insert(conn, "market.symbol_dim", rows)
        sector = {"sector_id": "concept:yh", "sector_kind": "concept", "sector_name": "银行股"}
        insert(conn, "market.sectors", [sector | {"member_count": 1}])
        member = {"sector_id": "concept:yh", "code": "sh600036", "valid_to": date.max}
        insert(conn, "market.sector_members", [member])

    def find(text: str) -> list[str]:
        part = caller.get("/prices/search", params={"text": text}).text
        return re.findall(r'href="/prices\?(?:code|sector)=([^"]+)"', part)

    assert find("zsyh") == find("招商") == find("ZSYH") == ["sh600036"]
    assert find("银行") == find("yh") == ["sh600036", "concept%3Ayh"]
    assert find("wka") == find("万科A") == find("000002") == ["sz000002"]
    assert find("sh60") == ["sh600000", "sh600004", "sh600036", "sh601318"]
    assert find("xyz") == find("%") == []
    # what it alone can mean is shown at once, else all that it can mean
    assert "<h1>Prices: sh600000 SH600000</h1>" in caller.get("/prices?code=sh600000").text
    assert "day bars are not loaded" in caller.get("/prices?code=zgpa").text
    assert "/prices?code=sh600036" in caller.get("/prices?code=yh").text
    # the page begins with sectors, and a sector with its members
    assert 'href="/prices?sector=concept%3Ayh">银行股</a>' in caller.get("/prices").text
    members = caller.get("/prices?sector=concept:yh").text
    assert re.findall(r"<code>(\w+)</code> (\S+)</a>", members) == [("sh600036", "招商银行")]
    assert "there is no sector x" in caller.get("/prices?sector=x").text


def test_why_there_is_no_bar_is_said_with_the_command(
    caller: Caller, prepared_dsn: str, client_folder: Path
) -> None:
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("create table market.kline_minute_raw (like market.kline_5m)")
        for name in ("kline_daily_qfq", "kline_5m"):
            conn.execute(
                f"create table if not exists market.{name} (like market.kline_5m)".encode()
            )

    def explain(query: str) -> list[str]:
        text = caller.get(f"/prices?{query}").text.partition('id="absent"')[2]
        said = re.sub("<[^>]+>", "", text.partition(": ")[2].partition("</p>")[0])
        return [html.unescape(said), *re.findall("<code>([^<]+)</code>", text)]

    load = "quotemill load tdx --dataset"
    assert explain("code=sh600004") == [
        "day bars are not loaded",
        f"{load} kline_daily --codes sh600004",
    ]
    minutes = ["minute bars are not loaded", f"{load} minute_1m --codes {CODE}"]
    assert explain(f"code={CODE}&freq=1m&adjust=none") == minutes
    assert explain("code=sh600004&freq=5m&adjust=none") == [
        "minute bars are not loaded",
        f"{load} minute_1m --codes sh600004",
    ]
    with psycopg.connect(prepared_dsn) as conn:
        insert(conn, "market.trading_calendar", [{"trade_date": day} for day in DAYS])
        query = "update market.symbol_dim set last_trade_date = %s where code = %s"
        for code, n in ((CODE, -1), ("sh600004", -102)):
            conn.execute(query, (DAYS[n], code))
    [ended] = explain("code=sh600004&freq=5m&adjust=none")
    assert ended.startswith(f"it last traded on {DAYS[-102]}; ")
    assert "last 100 trading days" in ended
    assert explain(f"code={CODE}&freq=1m&adjust=none") == minutes
    folder = {"tdx.client": str(client_folder)}
    caller.call("/api/settings", {"values": folder}, method="PUT")
    assert "only has what the client has downloaded" in caller.get("/prices?code=sh600004").text
    with psycopg.connect(prepared_dsn) as conn:
        minute = {"code": "sh600004", "trade_date": DAYS[0], "bar_end": f"{DAYS[0]} 03:00+00"}
        insert(conn, "market.kline_minute_raw", [minute])
    built = explain("code=sh600004&freq=5m&adjust=none")
    assert built == ["not built", "quotemill build"]


def test_main_contracts_are_one_series_as_adjusted_by_day_and_by_minute(
    caller: Caller, prepared_dsn: str
) -> None:
    page, day = "/prices/futures?variety=SHFE.au", DAYS[5]
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update futures.main_daily set close_back_diff = close + 7.5")
    daily = caller.json("/api/main-contracts/SHFE.au?adjust=back_diff")["rows"]
    assert [row["close"] for row in daily] == 299 * [507.5] + [None]
    assert '<td class="n">507.5</td>' in caller.get(f"{page}&adjust=back_diff").text
    absent = caller.get(f"{page}&freq=1m").text
    assert "SHFE.au: minute bars are not loaded" in absent
    assert "<code>quotemill load tq --codes SHFE.au</code>" in absent
    before = caller.get(f"{page}&end={DAYS[0] - timedelta(days=1)}").text
    assert f'before the first bar <span class="d">{DAYS[0]}</span>' in before
    with psycopg.connect(prepared_dsn) as conn:
        stored = {"variety": "SHFE.au", "trading_day": day}
        insert(conn, "futures.tick_coverage", [stored | {"coverage": "complete"}])
        minutes = [
            stored
            | {"start_at": f"{day} 01:0{n}+00", "open": 500, "high": 501, "low": 499}
            | {"close": 500, "close_forward_ratio": Decimal("600.25"), "volume_lots": n}
            for n in range(3)
        ]
        insert(conn, "futures.main_1m", minutes)
    text = caller.get(f"{page}&freq=1m&adjust=forward_ratio").text
    chart = read_chart(text)
    assert (chart["time"], chart["first"], chart["digits"]) == ("start_at", str(day), "2")
    rows = caller.json(f"{chart['address']}&start={day}&end={day}")["rows"]
    assert [(row["start_at"], row["close"]) for row in rows] == [
        (f"{day}T01:0{n}:00+00:00", 600.25) for n in range(3)
    ]
    shown = re.findall(r'<th scope="row" class="d">([^<]+)</th>', text)
    assert shown == [f"{day} 09:0{n}" for n in (2, 1, 0)]
    assert caller.get("/api/main-contracts/SHFE.au?freq=1w").status_code == 422
    assert caller.get("/api/main-contracts/SHFE.au?adjust=qfq").status_code == 422


def test_the_file_of_a_page_is_no_more_than_one_answer_holds(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FITTING", {"5m": 9})
    for freq, count in (("1d", 300), ("5m", 10)):
        text = caller.get(f"/prices?code={CODE}&freq={freq}&adjust=none").text
        [address] = re.findall('href="(/api/klines/[^"]+)">CSV', text)
        lines = caller.get(html.unescape(address)).text.splitlines()
        assert len(lines) == 1 + count


def test_options_show_the_newest_slot_until_there_is_a_close(
    caller: Caller, prepared_dsn: str
) -> None:
    later = date(2026, 11, 25)
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "update options.chain_intraday set trade_date = %s, iv = 0.3, slot_label = '10:30'",
            (later,),
        )
    text = caller.get("/prices/options?symbol=BRK+B").text
    assert f'value="{later}"' in text
    assert "<option selected>10:30</option>" in text
    assert read_lines(text)["series"]["put"][0] == [90, 0.3, "put 90: 0.3000"]
    assert 'id="chain"' in caller.get("/prices/options?symbol=BRK+B&day=2026-11-24").text
    refused = caller.get("/prices/options?symbol=BRK+B&day=2026-11-25&slot=09:30").text
    assert f'no option chain for BRK B on <span class="d">{later}</span> at 09:30' in refused
    assert "one of: BRK B" in caller.get("/prices/options?symbol=XYZ").text


def test_a_day_of_slots_alone_offers_no_close(caller: Caller, prepared_dsn: str) -> None:
    page = "/prices/options?symbol=BRK+B"
    assert '<option value="">the close</option>' in caller.get(page).text
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update options.chain_daily_clean set rollup_strategy = 'slot_1000'")
    text = caller.get(page).text
    assert '<select name="slot"><option selected>10:00</option></select>' in text
    with psycopg.connect(prepared_dsn) as conn:  # the day is built, its slots are in the archive
        conn.execute("delete from options.chain_intraday")
    text = caller.get(page).text
    assert re.search('<select name="slot"><option value="">[^<]+</option></select>', text)
    assert 'id="chain"' in text


def test_the_first_page_of_prices_lists_what_to_choose_from(caller: Caller) -> None:
    for page, link in (("futures", "variety=SHFE.au"), ("options", "symbol=BRK+B")):
        text = caller.get(f"/prices/{page}").text
        assert f'<a href="?{link}"><code>' in text
        assert 'id="absent"' not in text


@pytest.mark.parametrize(
    ("page", "source", "link"),
    [
        ("/prices", "tdx", '<a href="/load">'),
        ("/prices/futures", "tq", '<a href="/futures">'),
        ("/prices/options", "ib", '<a href="/chains">'),
    ],
)
def test_an_empty_page_of_prices_says_why_and_what_to_do(
    open_console: Open, prepared_dsn: str, page: str, source: str, link: str
) -> None:
    def read(caller: Caller) -> str:
        return str(caller.get(page).text.partition('id="absent"')[2].partition("</main>")[0])

    loaded = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    for visitor in (open_console(), loaded):
        assert f"nothing of {source} was loaded yet" in read(visitor)
        assert link in read(visitor)
    with psycopg.connect(prepared_dsn, autocommit=True) as conn:
        conn.execute(
            "insert into ops.ingestion_jobs (source, lane, mode, status, requested_by, parameters, "
            "as_of, finished_at) values (%s, %s, 'init', 'failed', 'me', '{}', now(), now())",
            (source, source),
        )
        assert f"load 1 of {source} failed" in read(loaded)
        assert '<a href="/jobs/1">' in read(loaded)
        conn.execute("update ops.ingestion_jobs set status = 'succeeded'")
    assert "not built" in read(loaded)
    assert "<code>quotemill build</code>" in read(loaded)


def test_hours_whose_view_sums_are_decimals_like_all_bars(
    caller: Caller, prepared_dsn: str
) -> None:
    """The numerics of a view that sums have no precision, as those of market.kline_60m."""
    with psycopg.connect(prepared_dsn) as conn:
        sums = ", ".join(f"max({name}) as {name}" for name in (*klines.PRICES, "amount_cny"))
        conn.execute(
            "create view market.kline_60m as select code, bar_end, trade_date, "
            f"{sums}, max(volume_shares) as volume_shares, true as is_final "
            "from market.kline_5m group by 1, 2, 3".encode()
        )
    path = f"/api/klines/{CODE}?freq=60m"
    row = caller.json(path)["rows"][7]
    assert (row["open"], row["close"], row["amount_cny"]) == (10.0, 10.07, 70.0)
    table = pa.ipc.open_stream(caller.get(f"{path}&format=arrow").content).read_all()
    assert table.schema.field("close").type == pa.decimal128(18, 3)
    page = caller.get(f"/prices?code={CODE}&freq=60m&adjust=none")
    assert (page.status_code, 'data-digits="2"' in page.text) == (200, True)
