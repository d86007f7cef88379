"""Charts in a real browser: what they draw is what the table says, and twenty years of it move."""

import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from tests.browser import Browser, Page
from tests.e2e.commands import Place
from tests.e2e.console.conftest import Server
from tests.integration.console.price_tables import insert, make_tables

Start = Callable[..., Server]
CODE = "sh600000"
FIRST = date(2004, 1, 1)
DAYS = [d for n in range(7300) if (d := FIRST + timedelta(days=n)).weekday() < 5]
ACTION = DAYS[-40]
CHART = "document.querySelector('[data-bars]').chart"
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
FIGURES = re.compile(r"(\d{4}-\d\d-\d\d) · open (\S+) · high (\S+) · low (\S+) · close (\S+)")


@pytest.fixture
def url(prepared_dsn: str, tmp_path: Path, start_console: Start) -> str:
    """A console over twenty years of days, every price another one."""
    with psycopg.connect(prepared_dsn) as conn:
        make_tables(conn)
        known = {"code": CODE, "name": "浦发银行", "instrument_type": "stock"}
        insert(conn, "market.symbol_dim", [known])
        bars = []
        for n, day in enumerate(DAYS):
            middle = 1000 + n % 977 + n // 10
            price = {
                name: Decimal(middle + step) / 100
                for name, step in zip("ohlc", (0, 9, -7, 3 - n % 5), strict=True)
            }
            bars.append(
                {"code": CODE, "trade_date": day, "is_final": True, "volume_shares": 100 + n}
                | {"open": price["o"], "high": price["h"], "low": price["l"], "close": price["c"]}
                | {"amount_cny": 5}
            )
        insert(conn, "market.kline_daily_qfq", bars)
        action = {"code": CODE, "ex_date": ACTION, "source": "csv", "seq": 1}
        action |= {"cash_per10_yuan": Decimal("1.50"), "is_active": True, "adjusts_price": True}
        insert(conn, "market.corporate_actions", [action])
        chain = {"symbol": "AAPL", "trade_date": DAYS[-1], "expiry": DAYS[-1] + timedelta(days=30)}
        quotes = [
            chain
            | {"conid": n, "strike": 90 + 5 * n, "option_right": right, "iv": 0.2 + n * n / 99}
            for n in range(5)
            for right in "CP"
        ]
        insert(conn, "options.chain_daily_clean", quotes)
    place = Place(tmp_path, tmp_path / "home", {"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    return start_console(place, "--port", "0").url


def press(page: Page, *keys: str) -> None:
    options = "bubbles: true, cancelable: true"
    for key in keys:
        event = f"new KeyboardEvent('keydown', {{key: {key!r}, {options}}})"
        page.ask(f"void {CHART}.box.dispatchEvent({event})")
        page.ask(FRAMES)  # in which the view moves
        page.wait_for(f"!{CHART}.busy")


def read_said(page: Page) -> list[str]:
    """What pointing at each bar in view says."""
    return list(
        page.ask(
            f"(() => {{ const c = {CHART}, [first, last] = c.inView(), said = [];"
            "for (let n = first; n <= last; n += 1) said.push(c.describe(n)); return said; })()"
        )
    )


def read_view(page: Page) -> list[list[str]]:
    """Day and prices of each bar in view."""
    return [list(FIGURES.findall(text)[0]) for text in read_said(page)]


def settle(page: Page) -> None:
    """Wait until the table is that of the view."""
    page.wait_for(f"!{CHART}.busy && {CHART}.bars.length > 0")
    view = f"{CHART}.inView().map(n => {CHART}.bars[n].trade_date).join(' ')"
    page.wait_for(f"document.querySelector('[data-rows]').dataset.shown === {view}")


def test_what_is_drawn_and_said_is_what_the_table_has(url: str, chromium: Browser) -> None:
    page = chromium.open(f"{url}/prices?code={CODE}&adjust=qfq", width=1280)
    settle(page)
    table = [row[:5] for row in page.table("bars")][::-1]
    assert read_view(page) == table
    assert len(table) == 120
    # the numbers of the candles, of the library
    drawn = page.ask(f"{CHART}.candles.data().slice(-120)")
    names = ("time", "open", "high", "low", "close")
    assert [[row[n] for n in names] for row in drawn] == [
        [row[0], *map(float, row[1:])] for row in table
    ]
    volumes = page.ask(f"{CHART}.volumes.data().slice(-2).map(bar => bar.value)")
    assert volumes == [100 + len(DAYS) - 2, 100 + len(DAYS) - 1]
    # prices beside the axis stand where they belong
    assert page.ask(
        f"{CHART}.candles.coordinateToPrice({CHART}.candles.priceToCoordinate(12.5))"
    ) == pytest.approx(12.5, abs=0.05)
    # the action is marked, and said
    assert page.ask(f"{CHART}.markers.markers().map(mark => mark.time)") == [str(ACTION)]
    [marked] = [text for text in read_said(page) if "cash 1.5/10" in text]
    assert marked.startswith(str(ACTION))
    assert page.console == []


def test_twenty_years_move_by_keys_and_by_pointer(url: str, chromium: Browser) -> None:
    page = chromium.open(f"{url}/prices?code={CODE}&adjust=qfq", width=1280)
    settle(page)
    for _ in range(70):
        press(page, "PageUp")
        if page.ask(f"{CHART}.inView()[0] === 0 && {CHART}.from <= {CHART}.options.first"):
            break
    settle(page)
    assert page.ask(f"{CHART}.bars.length") == len(DAYS)
    assert page.table("bars")[-1][0] == str(DAYS[0])
    assert read_view(page) == [row[:5] for row in page.table("bars")][::-1]
    # all of it in view
    press(page, *20 * "-")
    settle(page)
    assert page.ask(f"{CHART}.inView()") == [0, len(DAYS) - 1]
    assert f"last 250 of {len(DAYS):,}".replace(",", "") in page.ask("document.body.innerText")
    press(page, *30 * "+")
    assert page.ask(f"{CHART}.inView()") == [len(DAYS) - 10, len(DAYS) - 1]
    press(page, "Home")
    settle(page)
    assert page.table("bars")[-1][0] == str(DAYS[0])
    press(page, "End")
    settle(page)
    assert page.table("bars")[0][0] == str(DAYS[-1])
    # a drag moves the bars with the pointer
    before = page.ask(f"{CHART}.inView()")[0]
    page.drag("[data-bars] .canvas", 200)
    page.ask(FRAMES)
    assert page.ask(f"{CHART}.inView()")[0] < before
    # a narrow page has the whole chart, dark too
    page.set_media(scheme="dark")
    page.set_width(360)
    assert page.ask("document.documentElement.scrollWidth") <= 360
    assert page.console == []


def test_minutes_are_in_the_time_of_their_exchange_and_come_in_pieces(
    url: str, prepared_dsn: str, chromium: Browser
) -> None:
    days = DAYS[-120:]
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute(
            "insert into market.kline_5m (code, bar_end, trade_date, open, high, low, close, "
            "volume_shares, amount_cny, is_final) "
            "select %s, day + time '01:30' + n * interval '5 minutes', day::date, 10 + n, 99, 9, "
            "11 + n, n, n, true from unnest(%s::timestamp[]) as day, generate_series(1, 48) as n",
            (CODE, list(map(str, days))),
        )
    page = chromium.open(f"{url}/prices?code={CODE}&freq=5m&adjust=none", width=1280)
    settle(page)
    said = page.ask(f"{CHART}.describe({CHART}.bars.length - 48)")
    assert said.startswith(f"{days[-1]} 09:35 · open 11.00 · high 99.00 · low 9.00 · close 12.00")
    assert page.table("bars")[0][0] == f"{days[-1]} 13:30"  # 48 bars on, without a break
    held = page.ask(f"{CHART}.bars.length")
    assert 120 < held < 48 * len(days)
    press(page, *120 * ["PageUp"])
    assert page.ask(f"{CHART}.bars.length") == 48 * len(days)
    times = page.ask(f"{CHART}.candles.data().map(bar => bar.time)")
    assert times == sorted(set(times))
    assert page.console == []


def test_a_rise_is_red_in_chinese_green_in_english_or_as_chosen(
    url: str, chromium: Browser
) -> None:
    def read_colours(page: Page) -> tuple[str, str]:
        settle(page)
        style = "getComputedStyle(document.documentElement)"
        names = {page.ask(f"{style}.getPropertyValue('--{n}')"): n for n in ("good", "bad")}
        bars = f"{CHART}.candles.data()"
        up, down = (
            page.ask(f"{bars}.find(b => b.close {sign} b.open).color") for sign in (">", "<")
        )
        return names[up], names[down]

    english = chromium.open(f"{url}/prices?code={CODE}&lang=en")
    assert read_colours(english) == ("good", "bad")
    english.ask(
        f"(() => {{ {CHART}.rising.value = 'red';"
        f"{CHART}.rising.dispatchEvent(new Event('change')); }})()"
    )
    assert read_colours(english) == ("bad", "good")
    assert read_colours(chromium.open(f"{url}/prices?code={CODE}")) == ("bad", "good")
    english.ask("localStorage.clear()")
    assert read_colours(chromium.open(f"{url}/prices?code={CODE}&lang=zh")) == ("bad", "good")
    assert read_colours(chromium.open(f"{url}/prices?code={CODE}&lang=en")) == ("good", "bad")


def test_a_search_leads_to_a_chart_which_the_next_search_begins_with(
    url: str, chromium: Browser
) -> None:
    page = chromium.open(f"{url}/prices", width=390)
    assert page.ask("document.querySelector('[data-seen]').hidden")
    search = "document.querySelector('[data-search]')"
    page.ask(f"void ({search}.value = 'pfy')")
    page.ask(f"void {search}.dispatchEvent(new Event('input', {{bubbles: true}}))")
    link = page.wait_for("document.querySelector('[data-found] a')?.href")
    assert page.texts("[data-found] a") == [f"{CODE} 浦发银行"]
    settle(chromium.open(link))
    page = chromium.open(f"{url}/prices")
    assert page.texts("[data-seen] a") == [f"{CODE} 浦发银行"]
    assert page.ask("[...document.querySelectorAll('[data-seen] a')].map(a => a.href)") == [link]
    page.ask("localStorage.clear()")
    assert page.console == []


def test_a_smile_is_a_line_through_the_volatilities_of_the_table(
    url: str, chromium: Browser
) -> None:
    page = chromium.open(f"{url}/prices/options?symbol=AAPL", width=1280)
    page.wait_for("!!document.querySelector('[data-lines] canvas')")
    lines = "document.querySelector('[data-lines]').chart.lines"
    for n, (kind, right) in enumerate((("call", "C"), ("put", "P"))):
        assert page.ask(f"{lines}[{n}].line.options().lineVisible")
        drawn = page.ask(f"{lines}[{n}].line.data().map(p => [p.time, p.value])")
        rows = [row for row in page.table("chain") if row[1] == right]
        assert [f"{kind} {strike:g}: {iv:.4f}" for strike, iv in drawn] == [
            f"{kind} {row[0]}: {row[6]}" for row in rows
        ]
        assert page.ask(f"[...{lines}[{n}].texts.values()]") == [
            f"{kind} {row[0]}: {row[6]}" for row in rows
        ]
        assert len(rows) == 5
    # one that lies on the other hides neither it nor its points
    ways = f"{lines}.map(({{line}}) => line.options())"
    assert page.ask(f"{ways}.map(o => [o.lineStyle, o.pointMarkersRadius])") == [[0, 5], [3, 2]]
    scale = "document.querySelector('[data-lines]').chart.chart.timeScale()"
    ends = f"[90, 110].map(strike => {scale}.timeToCoordinate(strike) / {scale}.width())"
    page.wait_for(f"(([first, last]) => first < 0.2 && last > 0.8)({ends})")
    # a header sorts by its column, and back
    for order, place in (("ascending", -1), ("descending", 0)):
        page.ask("void document.querySelectorAll('#chain th button')[6].click()")
        volatilities = [row[6] for row in page.table("chain")]
        assert volatilities[place] == max(volatilities)
        assert page.ask("document.querySelectorAll('#chain thead th')[6].ariaSort") == order
    assert page.console == []
