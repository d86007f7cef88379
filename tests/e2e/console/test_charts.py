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
CHART = "document.querySelector('[data-chart]').chart"
FIGURES = re.compile(r"(\d{4}-\d\d-\d\d) · open (\S+) · high (\S+) · low (\S+) · close (\S+)")


@pytest.fixture
def url(prepared_dsn: str, tmp_path: Path, start_console: Start) -> str:
    """A console over twenty years of days, every price another one."""
    with psycopg.connect(prepared_dsn) as conn:
        make_tables(conn)
        known = {"code": CODE, "name": "Bank", "instrument_type": "stock"}
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
    svg, options = "document.querySelector('[data-chart] svg')", "bubbles: true, cancelable: true"
    for key in keys:
        event = f"new KeyboardEvent('keydown', {{key: {key!r}, {options}}})"
        page.ask(f"void {svg}.dispatchEvent({event})")


def drag(page: Page, start: int, end: int) -> None:
    """Move the pointer over the chart while its button is down."""
    page.ask(
        "(() => { const svg = document.querySelector('[data-chart] svg');"
        "svg.setPointerCapture = () => {};"
        "const at = (name, x) => svg.dispatchEvent("
        "new PointerEvent(name, {clientX: x, pointerId: 1}));"
        f"at('pointerdown', {start}); at('pointermove', {end}); at('pointerup', {end}); }})()"
    )


def read_said(page: Page) -> list[str]:
    """What pointing at each bar in view says."""
    return list(
        page.ask(
            f"(() => {{ const c = {CHART}, said = [];"
            "for (let n = Math.floor(c.left); n <= c.lastInView(); n += 1)"
            " { c.show(n); said.push(c.output.textContent); } return said; })()"
        )
    )


def read_view(page: Page) -> list[list[str]]:
    """Day and prices of each bar in view."""
    return [list(FIGURES.findall(text)[0]) for text in read_said(page)]


def settle(page: Page) -> None:
    """Wait until the table is that of the view."""
    page.wait_for(f"!{CHART}.busy && {CHART}.bars.length > 0")
    ends = (f"{CHART}.bars[Math.floor({CHART}.left)]", f"{CHART}.bars[{CHART}.lastInView()]")
    view = " + ' ' + ".join(f"{end}.trade_date" for end in ends)
    page.wait_for(f"document.querySelector('[data-rows]').dataset.shown === {view}")


def test_what_is_drawn_and_said_is_what_the_table_has(url: str, chromium: Browser) -> None:
    page = chromium.open(f"{url}/prices?code={CODE}&adjust=qfq")
    page.set_width(1280)
    settle(page)
    table = [row[:5] for row in page.table("bars")][::-1]
    said = read_view(page)
    assert said == table
    assert len(table) == 120
    # heights of the candles, by the prices that stand beside the axis
    page.wait_for("document.querySelectorAll('[data-chart] svg text').length > 5")
    axis = page.ask(
        "[...document.querySelectorAll('[data-chart] svg text[text-anchor=end]')]"
        ".map(t => [Number(t.textContent), Number(t.getAttribute('y')) - 4])"
    )
    (low, bottom), (high, top) = axis[0], axis[-1]
    wicks: list[tuple[float, float, float]] = []
    for way in ("up", "down"):
        path = page.ask(f"document.querySelector('[data-chart] .wick.{way}').getAttribute('d')")
        drawn = re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", path)
        wicks += [(float(x), float(a), float(b)) for x, a, b in drawn]
    assert len(wicks) == len(table)
    for (_, upper, lower), row in zip(sorted(wicks), table, strict=True):
        for y, price in ((upper, float(row[2])), (lower, float(row[3]))):
            shown = low + (high - low) * (bottom - y) / (bottom - top)
            assert shown == pytest.approx(price, abs=0.1 * (high - low) / 100)
    # the action is marked, and said
    assert (
        page.ask("document.querySelector('[data-chart] .event').getAttribute('d')").count("M") == 1
    )
    [marked] = [text for text in read_said(page) if "cash 1.5/10" in text]
    assert marked.startswith(str(ACTION))
    assert page.console == []


def test_twenty_years_move_by_keys_and_by_pointer(url: str, chromium: Browser) -> None:
    page = chromium.open(f"{url}/prices?code={CODE}&adjust=qfq")
    page.set_width(1280)
    settle(page)
    for _ in range(70):
        press(page, "PageUp")
        page.wait_for(f"!{CHART}.busy")
        if page.ask(f"{CHART}.left === 0 && {CHART}.from <= {CHART}.options.first"):
            break
    settle(page)
    assert page.ask(f"{CHART}.bars.length") == len(DAYS)
    assert page.table("bars")[-1][0] == str(DAYS[0])
    said = read_view(page)
    assert said == [row[:5] for row in page.table("bars")][::-1]
    # all of it in view is as few paths as a month
    press(page, *20 * "-")
    settle(page)
    assert page.ask(f"Math.round({CHART}.count)") == len(DAYS)
    assert page.ask("document.querySelectorAll('[data-chart] svg path').length") == 8
    assert f"the last 250 of {len(DAYS):,}".replace(",", "") in page.ask("document.body.innerText")
    press(page, *30 * "+")
    assert page.ask(f"{CHART}.count") == 10
    press(page, "Home")
    settle(page)
    assert page.table("bars")[-1][0] == str(DAYS[0])
    press(page, "End")
    settle(page)
    assert page.table("bars")[0][0] == str(DAYS[-1])
    # a drag moves the bars with the pointer
    before = page.ask(f"{CHART}.left")
    drag(page, 600, 800)
    assert page.ask(f"{CHART}.left") < before
    # a narrow page has the whole chart, dark too
    page.set_media(scheme="dark")
    page.set_width(360)
    assert page.ask("document.documentElement.scrollWidth") <= 360
    assert page.console == []


def test_a_smile_is_a_line_through_the_volatilities_of_the_table(
    url: str, chromium: Browser
) -> None:
    page = chromium.open(f"{url}/prices/options?symbol=AAPL")
    for group, kind, right in (("s0", "call", "C"), ("s1", "put", "P")):
        style = f"getComputedStyle(document.querySelector('.{group} path.line'))"
        assert page.ask(f"[{style}.fill, {style}.stroke !== 'none']") == ["none", True]
        said = page.texts(f"svg .{group} g title")
        rows = [row for row in page.table("chain") if row[1] == right]
        assert said == [f"{kind} {row[0]}: {row[5]}" for row in rows]
        assert len(rows) == 5
    assert page.console == []
