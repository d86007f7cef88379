"""Of arbitrary bytes from outside every parser makes a result or an error of ours.

The parsers, each fed with arbitrary bytes, and with good ones that were damaged somewhere:

    HTTP headers       of the TDX service; also Date, Content-Length, Retry-After and others alone
    JSON of TDX        every route that a load asks, by the client, and the self-test's own reader
    quote servers      rows of corporate actions
    files of TDX       .day, .lc1, .lc5, .5, tnf of both clients, gbbq, sectors of both, zips
    messages of IB     the stream of its socket; contracts, chains, bars, ticks of the library
    messages of TqSdk  lines of the client's process, and every kind of answer
    QuestDB            rows in JSON, tables in Parquet
    CSV files          corporate actions, universe, ranges of instruments, seeds, lists of codes
    settings           quotemill.toml, .env, variables of the environment; the change of both files
"""

import asyncio
import contextlib
import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import httpcore
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.cli.load import _keys
from loaders.ib.client import contract_details, quotes
from loaders.ib.client.ib_client import Connection, Line
from loaders.ib.client.library_answers import make_bar, make_chain, make_details
from loaders.ib.client.ticker import Reading
from loaders.ib.client.values import Candidate, OptionContract
from loaders.ib.contracts.universe import read_members
from loaders.requests.http import http_client, rate_limit
from loaders.sandbox.tdx.client_files import write_client_files, write_sectors
from loaders.sandbox.tdx.service import TdxSandbox
from loaders.sandbox.world.market import SyntheticMarket
from loaders.settings import Settings
from loaders.settings.saving import change_dotenv, change_toml
from loaders.tdx.client.client import TdxClient
from loaders.tdx.client.xdxr import build_actions
from loaders.tdx.files import gbbq, sectors, tnf, vipdoc
from loaders.tdx.files.actions_csv import REQUIRED, read_actions
from loaders.tdx.files.folder import scan_folder
from loaders.tdx.files.written import read_content
from loaders.tdx.selftest.exchange import Exchange, NotPassed
from loaders.tdx.settings import TdxSettings
from loaders.tq.client import answers, process
from orchestration.run.seed_files import is_readable, read_lines
from quotemill.errors import QuotemillError, UpstreamError
from quotemill.foreign import reading
from quotemill.instrument_ranges import FIELDS, read_ranges
from quotemill.settings.merge import read_layers
from quotemill.ticks.questdb_http import Address, QuestdbHttp

NOW = datetime(2025, 7, 1, 9, tzinfo=UTC)
FIRST, LAST = date(2024, 1, 1), date(2025, 6, 30)
# what no number, day or text of a sane sender is
ODD_TEXTS = st.sampled_from(
    [
        "",
        "0" * 5000,
        "9" * 5000,
        "-1",
        "1e400",
        "nan",
        "inf",
        "\0",
        "\ud800",
        "٣",
        "é",
        "99999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 -1400",
        "0001-01-01",
        "00010101",
        "Mon, 01 Jan 99999999999 00:00:00 GMT",
        "99991231 23:59:59 US/Eastern",
        "[" * 3000,
        "Thu, 01 Jan 0001 00:00:00 +1400",
        "2025-02-30T15:00:00+08:00",
        "a\rb",
        '"',
        "x" * 140_000,
    ]
)
ODD_NUMBERS = st.sampled_from(
    [10**30, -(10**30), 2**63, -(2**63) - 1, 1e308, -1e308, 10**400, 0, -1, math.inf, math.nan]
)
TEXTS = st.text(max_size=30) | ODD_TEXTS
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | ODD_NUMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def fails_as_ours(work: Callable[[], object]) -> None:
    """Do it; an internal error, or one of no kind of ours, fails the test."""
    raised: list[QuotemillError] = []
    try:
        work()
    except QuotemillError as error:
        raised.append(error)
    for error in raised:
        assert type(error) is not QuotemillError
        assert "\0" not in str(error)  # the warehouse could not store it
        assert str(error).encode()


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Arbitrary bytes, or good ones with some replaced, taken out or put in."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.binary(max_size=400))
    content = good
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 40)))
        odd = ODD_TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass"))
        content = content[:start] + draw(st.binary(max_size=12) | odd) + content[end:]
    return content


@st.composite
def altered(draw: st.DrawFn, good: Any) -> Any:
    """A good document with an arbitrary value in one of its places."""
    if isinstance(good, dict) and good and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(good)))
        if draw(st.integers(0, 8)) == 0:
            return {name: value for name, value in good.items() if name != key}
        return {**good, key: draw(altered(good[key]))}
    if isinstance(good, list) and good and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(good) - 1))
        return [*good[:at], draw(altered(good[at])), *good[at + 1 :]]
    return draw(VALUES)


CALLS: dict[str, Callable[[TdxClient], Any]] = {
    "codes": lambda c: c.codes(),
    "etfs": lambda c: c.etfs(),
    "workdays": lambda c: c.workdays(FIRST, LAST),
    "kline_all": lambda c: c.kline_all("sh600000"),
    "index_all": lambda c: c.index_all("sh000001"),
    "index": lambda c: c.index("sh000001", limit=9),
    "kline_adjusted": lambda c: c.kline_adjusted("sh600000"),
    "intraday_all": lambda c: c.intraday_all("sh600000", limit=9),
    "intraday": lambda c: c.intraday("sh600000", limit=9),
    "index_intraday": lambda c: c.index_intraday("sh000001", limit=9),
    "minute_points": lambda c: c.minute_points("sh600000", LAST),
    "trades_of_day": lambda c: c.trades_of_day("sh600000", LAST),
    "trades_of_days": lambda c: c.trades_of_days("sh600000", LAST, LAST),
    "trades_of_today": lambda c: c.trades_of_today("sh600000", LAST),
    "quotes": lambda c: c.quotes(["sh600000"]),
    "quote": lambda c: c.quote(["sh600000"]),
    "stock_info": lambda c: c.stock_info("sh600000"),
    "market_stats": lambda c: c.market_stats(),
    "market_count": lambda c: c.market_count(),
    "probe": lambda c: c.probe(LAST),
}


def ask(call: Callable[[TdxClient], Any], transport: httpx.AsyncBaseTransport) -> None:
    async def pause(_: float) -> None: ...

    async def once() -> None:
        given = TdxSettings(base_url="http://tdx:8080", retries=0, backoff=0, outage_wait=0)
        async with TdxClient(given, transport=transport, sleep=pause) as client:
            await call(client)

    fails_as_ours(lambda: asyncio.run(once()))


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    return SyntheticMarket(codes=6, days=60, seed=3, end=LAST)


@pytest.fixture(scope="module")
def good_answers(market: SyntheticMarket) -> dict[str, bytes]:
    """The first answer of the sandbox to each call."""
    good: dict[str, bytes] = {}
    with TdxSandbox(market) as sandbox:

        async def record(name: str) -> None:
            class Recorder(httpx.AsyncHTTPTransport):
                async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                    answer = await super().handle_async_request(request)
                    content = await answer.aread()
                    good.setdefault(name, content)
                    return httpx.Response(answer.status_code, content=content)

            given = TdxSettings(base_url=sandbox.url, retries=0)
            with contextlib.suppress(QuotemillError):  # such as of a day without minutes
                async with TdxClient(given, transport=Recorder()) as client:
                    await CALLS[name](client)

        for name in CALLS:
            asyncio.run(record(name))
    return good


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40)
@given(data=st.data())
def test_json_of_the_service(
    name: str, good_answers: dict[str, bytes], data: st.DataObject
) -> None:
    good = good_answers[name]
    if data.draw(st.booleans()):
        content = data.draw(damaged(good[:3000]))
    else:
        content = json.dumps(data.draw(altered(json.loads(good)))).encode()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    ask(CALLS[name], transport)


def raw_transport(answer: bytes) -> httpx.AsyncBaseTransport:
    """A transport over a socket that answers so to everything."""
    transport = httpx.AsyncHTTPTransport()
    backend = httpcore.AsyncMockBackend([answer])
    transport._pool = httpcore.AsyncConnectionPool(network_backend=backend)
    return transport


HEADERS = (
    "Date",
    "Content-Length",
    "Content-Encoding",
    "Content-Type",
    "Retry-After",
    "Location",
    "Transfer-Encoding",
    "Set-Cookie",
    "Connection",
    "Age",
    "Expires",
)


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(st.sampled_from(HEADERS), st.binary(max_size=30) | TEXTS.map(str)), max_size=4
    ),
    st.binary(max_size=60) | st.just(b'{"code":0,"message":"","data":{"Count":0,"List":null}}'),
    st.sampled_from([b"200 OK", b"503 Busy", b"429 Slow", b"301 Moved", b"999 \xff", b"1 x"]),
)
def test_headers_of_the_service(
    headers: list[tuple[str, bytes | str]], body: bytes, status: bytes
) -> None:
    lines = [b"HTTP/1.1 " + status]
    for name, value in headers:
        raw = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        lines.append(name.encode() + b": " + raw)
    ask(CALLS["intraday"], raw_transport(b"\r\n".join(lines) + b"\r\n\r\n" + body))


@pytest.mark.parametrize(
    "header",
    [
        "Date: Mon, 01 Jan 99999999999 00:00:00 GMT",
        "Date: Fri, 31 Dec 9999 23:59:59 -1400",
        "Date: Thu, 01 Jan 0001 00:00:00 +1400",
        f"Date: {'9' * 5000}",
        f"Content-Length: {'9' * 5000}",
        f"Retry-After: {'9' * 5000}",
        "Set-Cookie: a=b; Max-Age=" + "9" * 5000,
        "Content-Encoding: gzip, gzip",
        "Content-Encoding: br",
    ],
)
def test_an_odd_header_of_the_service(header: str) -> None:
    body = b'{"code":0,"message":"","data":{"Count":0,"List":null}}'
    answer = f"HTTP/1.1 200 OK\r\n{header}\r\n\r\n".encode() + body
    ask(CALLS["intraday"], raw_transport(answer))


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_json_in_the_self_test(content: bytes) -> None:
    async def once() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
        async with http_client("http://tdx", connections=1, transport=transport) as client:
            with contextlib.suppress(NotPassed):
                await Exchange(client, 5, rate_limit(None)).ask("GET", "/api/health")

    fails_as_ours(lambda: asyncio.run(once()))


ACTION = {
    "category": 1,
    "year": 2024,
    "month": 6,
    "day": 28,
    "fenhong": 1.5,
    "songzhuangu": 0.0,
    "peigu": 0.0,
    "peigujia": 0.0,
    "houzongguben": None,
    "panhouliutong": None,
    "suogu": None,
}


@given(altered([ACTION, {**ACTION, "category": 5}, {**ACTION, "category": 11, "suogu": 2.0}]))
def test_actions_of_a_quote_server(answer: Any) -> None:
    def parse() -> None:
        with reading("the answer of a quote server", UpstreamError):
            build_actions("sh600000", answer)

    fails_as_ours(parse)


FILES: dict[str, Callable[[Path], object]] = {
    "sh600000.day": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "day", NOW),
    "sh600001.day": lambda f: (vipdoc.first_day(f), vipdoc.last_day(f, NOW), vipdoc.list_days(f)),
    "sh600000.lc1": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute1", NOW),
    "sh600001.lc1": lambda f: (vipdoc.first_day(f), vipdoc.last_day(f, NOW)),
    "sh600000.lc5": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute5", NOW),
    "sh600000.5": lambda f: vipdoc.read_bars(f, "sh600000", "stock", "minute5", NOW),
    "shs.tnf": lambda f: tnf.read_names(f, "sh"),
    "shm.tnf": lambda f: tnf.read_names(f, "sh"),
    "gbbq": lambda f: gbbq.select_actions(gbbq.read_events(f), ["sh600000", "sz000001"]),
    "infoharbor_block.dat": lambda f: sectors.read_sectors(f, "block_gn.dat"),
    "spblock.dat": lambda f: sectors.read_sectors(f, "spblock.dat"),
    "block_gn.dat": lambda f: sectors.read_sectors(f, "block_gn.dat"),
    "tdxhy.cfg": lambda f: (sectors.read_sectors(f, "tdxhy.cfg"), sectors.read_generation(f)),
    "bars.zip": lambda f: read_zip(f),
    "actions.csv": lambda f: tables_of(read_actions(f, ["sh600000"])),
    "universe.csv": read_members,
    "ranges.csv": read_ranges,
    "codes.txt": lambda f: _keys(None, f, None),
    "quotemill.toml": lambda f: read_layers(Settings, {}, f.parent).merge(),
    ".env": lambda f: read_layers(Settings, {}, f.parent).merge(),
}


def read_zip(path: Path) -> None:
    folder = scan_folder(TdxSettings(client=path))
    assert folder is not None
    for file in folder.files.values():
        read_content(file)


def tables_of(actions: Any) -> None:
    """The rows as a load lands them."""
    from loaders.tdx.tables import CORPORATE_ACTION

    for name in ("cash_per10_yuan", "split_ratio"):
        values = [getattr(row, name) for row in actions.rows]
        pa.array(values, CORPORATE_ACTION.schema.field(name).type)


@pytest.fixture(scope="module")
def good_files(
    market: SyntheticMarket, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("client")
    for generation in ("older", "today"):
        write_client_files(market, folder, generation)
        write_sectors(market, folder, generation)
    record = bytes.fromhex("f5e03401") + bytes(range(28))
    minute = bytes.fromhex("32a8 3b02".replace(" ", "")) + bytes(28)
    zipped = io.BytesIO()
    with ZipFile(zipped, "w", ZIP_DEFLATED) as archive:
        archive.writestr("sh600000.day", record * 9)
        archive.writestr("sz000001.day", record)
    return {
        **dict.fromkeys(("sh600000.day", "sh600001.day"), record * 4),
        **dict.fromkeys(("sh600000.lc1", "sh600001.lc1", "sh600000.lc5", "sh600000.5"), minute * 4),
        **{path.name: path.read_bytes()[:4000] for path in folder.rglob("*") if path.is_file()},
        "gbbq": next(folder.rglob("gbbq")).read_bytes(),
        "block_gn.dat": next(folder.rglob("block_gn.dat")).read_bytes(),
        "bars.zip": zipped.getvalue(),
        "actions.csv": f"{','.join(REQUIRED)},category\nsh600000,2024-06-28,1,0,0,0,1\n".encode(),
        "universe.csv": b"symbol,weight,group,enabled\nAAPL,5,a,1\nSPX,4,b,1\n",
        "ranges.csv": f"{','.join(FIELDS)}\nsh,600000,600999,stock,2,1990,x\n".encode(),
        "codes.txt": b"sh600000\nsz000001\n",
        "quotemill.toml": b'market_schema = "m"\n[tdx]\nretries = 3\nindices = ["sh000001"]\n',
        ".env": b"QUOTEMILL_TDX__RETRIES=3\nQUOTEMILL_MARKET_SCHEMA='m'\n",
    }


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60)
@given(data=st.data())
def test_files(
    name: str,
    good_files: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.getbasetemp() / "foreign"
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data.draw(damaged(good_files[name])))
    try:
        fails_as_ours(lambda: FILES[name](path))
    finally:
        path.unlink()


COLUMNS = ("code", "day", "remark")


@given(
    damaged(b'code,day,remark\nsh600000,2024-06-28,"a, b"\n') | damaged(b"code,day,remark\n1,2,3")
)
def test_seeds(content: bytes) -> None:
    rows, lacking = read_lines(content, COLUMNS)
    if not lacking and is_readable(content, COLUMNS, rows):
        assert list(csv.reader(io.StringIO(content.decode("utf-8-sig")))) == [[*COLUMNS], *rows]


NAMES = st.sampled_from(
    [
        "HOME",
        "CONFIG",
        "TDX__RETRIES",
        "TDX",
        "TDX__A__B",
        "WAREHOUSE_URL",
        "TQ__ACCOUNT",
        "ORIGINS",
    ]
)
NO_NULL = TEXTS.filter(lambda text: "\0" not in text and "\ud800" not in text)


@given(st.dictionaries(NAMES.map(lambda name: f"QUOTEMILL_{name}"), NO_NULL, max_size=3))
def test_variables(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> None:
    fails_as_ours(lambda: read_layers(Settings, environ, tmp_path_factory.getbasetemp()).merge())


@given(damaged(b"[tdx]\nretries = 3\n"), damaged(b"QUOTEMILL_TDX__RETRIES=3\n"))
def test_files_that_are_changed(toml: bytes, dotenv: bytes) -> None:
    fails_as_ours(lambda: change_toml(toml.decode(errors="replace"), {"tdx.retries": 4}))
    fails_as_ours(lambda: change_dotenv(dotenv.decode(errors="replace"), {"tdx.retries": 4}))


def connection() -> Connection:
    return Connection(lambda *_: None, 40, 0.0)


@settings(max_examples=200)
@given(st.lists(st.lists(TEXTS, min_size=1, max_size=20) | st.binary(max_size=60), max_size=4))
def test_the_stream_of_a_gateway(messages: Sequence[list[str] | bytes]) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    gateway = connection()
    gateway._ib.client._serverVersion = gateway._ib.client.decoder.serverVersion = 176
    gateway._ib.client._apiReady = True
    gateway._ib.client.conn.transport = SimpleNamespace(abort=lambda: None)
    for message in messages:
        if isinstance(message, list):
            fields = "".join(f"{field}\0" for field in message).encode("utf-8", "surrogatepass")
            message = len(fields).to_bytes(4, "big") + fields
        gateway._ib.client._onSocketHasData(message)
        gateway._on_data(message)


CANDIDATE = Candidate("AAPL", 265598, "AAPL", date(2026, 12, 18), Decimal(150), "C")
CONTRACT = {
    "conId": 1,
    "localSymbol": "AAPL  261218C00150000",
    "tradingClass": "AAPL",
    "multiplier": "100",
    "lastTradeDateOrContractMonth": "20261218",
    "strike": 150.0,
    "right": "C",
    "exchange": "SMART",
    "primaryExchange": "",
    "currency": "USD",
}
DETAILS = {
    "longName": "APPLE",
    "underConId": 265598,
    "realExpirationDate": "20261218",
    "liquidHours": "20261218:0930-20261218:1600",
    "timeZoneId": "US/Eastern",
}
CHAIN = {
    "exchange": "SMART",
    "tradingClass": "AAPL",
    "multiplier": "100",
    "expirations": ["20261218"],
    "strikes": [150.0],
}
BAR = {"date": date(2026, 1, 5), **dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)}
TIMES = st.datetimes() | st.datetimes(timezones=st.timezones()) | st.dates()


@given(altered(CONTRACT), altered(DETAILS), altered(CHAIN), altered(BAR), TIMES)
def test_answers_of_a_gateway(
    contract: Any, details: Any, chain: Any, bar: Any, at: datetime | date
) -> None:
    row = SimpleNamespace(contract=holder(contract), **fields(details))
    made: list[tuple[Callable[[Any], Any], Any]] = [
        (make_details, row),
        (make_chain, holder(chain)),
        (make_bar, holder(bar)),
        (make_bar, holder(BAR | {"date": at})),
    ]
    asyncio.set_event_loop(asyncio.new_event_loop())
    for make, answer in made:
        gateway = connection()

        async def once(*_: Any, answer: Any = answer) -> Any:
            return [answer], None

        gateway._answer_once = once  # type: ignore[method-assign]
        rows, failure = asyncio.run(gateway._answer(lambda _: None, 1, "contracts", make))
        assert len(rows) == 1 or failure is not None
        if make is make_details and rows:

            async def same(*_: Any, rows: Any = rows, **__: Any) -> Any:
                return rows, None

            gateway.details = same  # type: ignore[method-assign]
            asyncio.run(contract_details._look_up(gateway, CANDIDATE, 1))


def fields(value: Any) -> dict[str, Any]:
    return {str(k): v for k, v in value.items()} if isinstance(value, dict) else {}


def holder(value: Any) -> SimpleNamespace:
    return SimpleNamespace(**fields(value))


GREEKS = st.none() | st.builds(
    SimpleNamespace,
    **dict.fromkeys(
        ("impliedVol", "delta", "optPrice", "pvDividend", "gamma", "vega", "theta", "undPrice"),
        st.floats() | st.none(),
    ),
)
TICKERS = st.builds(
    SimpleNamespace,
    time=st.none() | st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)),
    marketDataType=st.integers(),
    dividends=st.none()
    | st.builds(
        SimpleNamespace,
        past12Months=st.floats() | st.none(),
        next12Months=st.floats() | st.none(),
        nextDate=st.none() | TIMES,
        nextAmount=st.floats() | st.none(),
    ),
    **dict.fromkeys(
        (
            "bid",
            "ask",
            "last",
            "close",
            "bidSize",
            "askSize",
            "lastSize",
            "volume",
            "callOpenInterest",
            "putOpenInterest",
        ),
        st.floats(),
    ),
    **dict.fromkeys(("modelGreeks", "bidGreeks", "askGreeks"), GREEKS),
)
OPTION = OptionContract(1, "x", "AAPL", 2, "AAPL", LAST, Decimal(1), "C", Decimal(100))


@given(TICKERS, TICKERS)
def test_ticks_of_a_gateway(ticker: Any, stock: Any) -> None:
    option, under = (
        Reading(Line(None, t, lambda: None).tick(), None, NOW, 0.0)  # type: ignore[arg-type]
        for t in (ticker, stock)
    )
    quotes._make_quote(OPTION, 1, option, stock=under, stamp=lambda at: at)


GOOD_TQ: dict[str, tuple[Callable[[Any], object], Any]] = {
    "instruments": (
        answers.instruments,
        {
            "contracts": [
                {"contract": "SHFE.cu2601", "expire_date": "2026-01-15", "price_tick": 10}
            ],
            "sessions": {"SHFE.cu": [["day", 0, 32400, 36900]]},
            "seen_at": {"SHFE.cu": 1_750_000_000_000_000_000},
            "left_out": [],
        },
    ),
    "quote": (answers.quote, {"contract": "SHFE.cu2601", "quoted_at": 1, "margin": "1.5"}),
    "licence": (
        answers.licence,
        {"features": ["tq_dl"], "account_type": "a", "days_left": 1, "ends": "2026-01-15"},
    ),
    "main_events": (
        answers.main_events,
        {"route": "history", "first_day": "2026-01-15", "last_day": None, "events": [[1, "x"]]},
    ),
    "tick_answer": (
        answers.tick_answer,
        {"trading_day": "2026-01-15", "path": "x", "rows": 1, "more_days_had_rows": True},
    ),
    "days": (answers.days, ["2026-01-15"]),
    "moment": (answers.moment, 1_750_000_000_000_000_000),
    "settlements": (answers.settlements, [["2026-01-15", "1.5"]]),
    "heads": (answers.heads, {"SHFE.cu": ["SHFE.cu2601", 1_750_000_000_000_000_000]}),
}


@pytest.mark.parametrize("name", GOOD_TQ)
@given(data=st.data())
def test_answers_of_the_futures_client(name: str, data: st.DataObject) -> None:
    parse, good = GOOD_TQ[name]
    answer = data.draw(altered(good))
    fails_as_ours(lambda: parse(answer))


@given(
    damaged(b'{"result": {"a": [1, 2]}}\n') | ODD_TEXTS.map(lambda t: t.encode(errors="replace"))
)
def test_lines_of_the_futures_client(line: bytes) -> None:
    fails_as_ours(lambda: process._parse(line, "the answer to login"))


@given(data=st.data())
def test_tables_of_the_futures_client(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = io.BytesIO()
    stamps = [1_750_000_000_000_000_000]
    pq.write_table(pa.table({"datetime": stamps, "open": [data.draw(st.floats())]}), good)
    path = tmp_path_factory.getbasetemp() / "foreign.parquet"
    path.write_bytes(data.draw(st.just(good.getvalue()) | damaged(good.getvalue())))
    fails_as_ours(lambda: answers.minute_table(path))


@pytest.fixture(scope="module")
def questdb() -> Iterator[tuple[QuestdbHttp, list[httpx.Response]]]:
    http, queue = QuestdbHttp(Address("http://q:9000")), list[httpx.Response]()
    http._client = httpx.Client(
        base_url="http://q:9000", transport=httpx.MockTransport(lambda _: queue.pop())
    )
    yield http, queue
    http.close()


GOOD_ROWS = {"columns": [{"name": "n", "type": "LONG"}], "dataset": [["1"]]}


@given(data=st.data())
def test_answers_of_questdb(
    questdb: tuple[QuestdbHttp, list[httpx.Response]], data: st.DataObject
) -> None:
    http, queue = questdb
    rows = json.dumps(data.draw(altered(GOOD_ROWS))).encode()
    table = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2]}), table)
    status = data.draw(st.sampled_from([200, 400, 500]))
    for call, content in (
        (http.rows, data.draw(st.just(rows) | damaged(rows))),
        (http.table, data.draw(damaged(table.getvalue()))),
    ):
        queue.append(httpx.Response(status, content=content))
        fails_as_ours(lambda call=call: call("select 1"))  # type: ignore[misc]
