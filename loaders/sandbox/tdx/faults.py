"""Catalogue of the faults of the TDX service: kinds, their routes and options.

    empty:kline-all:code=sh600000:first=2     the first two calls for that code come back empty
    outage:nth=10:calls=30                    from the 10th call on, 30 calls fail at once
    leftover:xdxr:nth=2                       a quote server's second answer of events is too long
    reset:p=0.05                              one call in twenty is dropped (seeded)

ROUTE is the path without `/api/`. `message=` comes last and may hold colons.
"""

from loaders.sandbox.faults import Catalogue, Kind, check_count

KLINES = ("kline", "kline-history", "kline-all", "kline-all/tdx", "kline-all/ths")
BARS = (*KLINES, "index", "index/all")
TICKS = ("trade", "trade-history", "minute-trade-all")
SERIES = (*BARS, "minute", *TICKS)
RANGE = "trade-history/full"
QUOTES = ("quote", "batch-quote")
FACTORS = "adjustment-factors"  # of the build of April 2026
THS = (*KLINES, "income", "stock-info", FACTORS)
CODES = ("codes", "stock-codes", "etf-codes", "etf")
LISTS = (*CODES, "search", "market-stats")
CALENDAR = ("workday", "workday/range")
TASKS = ("tasks/pull-kline", "tasks/pull-trade", "tasks", "tasks/{id}")
STATUS = ("health", "server-status", "market-count")
PACKAGES = ("g4day", "gbbq")
ROUTES = (
    *STATUS,
    *QUOTES,
    *SERIES,
    RANGE,
    "stock-info",
    "income",
    FACTORS,
    *LISTS,
    *CALENDAR,
    *TASKS,
    *PACKAGES,
)
# kline-all/ths and income ask the third-party page only
QUOTE_SERVER = tuple(route for route in SERIES if route != "kline-all/ths")
UPSTREAM = (*QUOTE_SERVER, RANGE, *QUOTES, "stock-info", "market-count")
ROWS = (*SERIES, RANGE)
GROWING = (*SERIES, *QUOTES, RANGE)

# asked of the quote servers only
XDXR = "xdxr"
FRAMES = (*UPSTREAM, *CODES, XDXR)

# what damages the rows of an answer
DATA_FAULTS: dict[str, Kind] = {
    "empty": Kind("success without a row", routes=(*ROWS, *QUOTES, "workday/range", *CODES)),
    "short": Kind(
        "history cut to its latest rows, as by a short page", {"keep": "800"}, routes=ROWS
    ),
    "stale": Kind(
        "the newest rows are missing, as if the source had stopped",
        {"rows": "1"},
        routes=(*SERIES, "workday/range"),
    ),
    "duplicate": Kind("the row at the page border is repeated", {"page": "800"}, routes=SERIES),
    "duplicate-page": Kind("the latest page of ticks is repeated", {"page": "2000"}, routes=TICKS),
    "descending": Kind("latest first", routes=ROWS),
    "unfinished": Kind("the last row has half of its final values", routes=GROWING),
    "provisional": Kind("the last row differs from call to call", routes=GROWING),
    "holiday": Kind("a bar on a day without trading", routes=BARS),
    "high-below-low": Kind("high and low of a bar are exchanged", {"row": "-1"}, routes=BARS),
    "value": Kind(
        "a field of one row holds another value: a number, or a text",
        {"field": "Volume", "value": "100000000000000000", "row": "-1"},
        routes=(*BARS, *QUOTES),
    ),
    "noon-label": Kind(
        "11:30 is labelled 13:00", routes=tuple(r for r in BARS if r != "kline-all/ths")
    ),
    "extra-field": Kind("an unknown field", {"field": "Extra"}),
    "missing-field": Kind("a field is missing", {"field": "Close"}),
    "string-number": Kind("a number comes as text", {"field": "Close"}),
}

KINDS: dict[str, Kind] = {
    # the connection
    "latency": Kind("the response comes late", {"seconds": "1", "jitter": "0"}),
    "hang": Kind("no response ever comes"),
    "refuse": Kind("the call is dropped and the port stays closed for a while", {"seconds": "1"}),
    "restart": Kind("as refuse, and the service restarts: tasks vanish", {"seconds": "0.2"}),
    "reset": Kind("the connection is reset before the first byte"),
    "cut": Kind("the body ends half-way (truncated JSON)", {"at": "0.5"}),
    # the answer as a whole
    "empty-body": Kind("HTTP 200 without a body"),
    "html": Kind("an HTML error page of a proxy", {"status": "502"}),
    "error": Kind("code -1 with a message", {"message": "上游错误"}),
    "timeout": Kind("code -1, `超时`, after the wait for the quote server", routes=UPSTREAM),
    "outage": Kind(
        "the quote server is unreachable: code -1 at once (for some calls or seconds)",
        {"message": "", "calls": "", "seconds": ""},
        routes=UPSTREAM,
        timing="window",
    ),
    "rate-limit": Kind(
        "calls above this number per second are rejected",
        {"per_second": "5", "status": "429"},
        timing="rate",
    ),
    # rows
    **DATA_FAULTS,
    # what the service knows
    "codes-stale": Kind("the newest codes are missing", {"drop": "3"}, routes=LISTS),
    "codes-duplicate": Kind("a code is listed twice", routes=LISTS),
    "codes-missing": Kind("one exchange is missing", {"exchange": "sz"}, routes=LISTS),
    "codes-vanish": Kind(
        "the code in code= is missing from the lists", needs=("code",), routes=LISTS
    ),
    "calendar-empty": Kind(
        "no days are available (restart in another time zone)", routes=(*CALENDAR, RANGE)
    ),
    "calendar-short": Kind(
        "only the latest days are available", {"keep": "100"}, routes=(*CALENDAR, RANGE)
    ),
    "calendar-hole": Kind(
        "the day so many trading days ago is missing", {"back": "10"}, routes=(*CALENDAR, RANGE)
    ),
    "half-init": Kind("the code cache was never filled", routes=(*LISTS, *QUOTES)),
    "ths-down": Kind("the third-party page fails", routes=THS),
    "ths-missing-action": Kind(
        "the third-party series is missing `count` actions, the first of them the `which` latest",
        {"which": "1", "count": "1"},
        routes=THS,
    ),
    "ths-unadjusted": Kind("the third-party series is not adjusted at all", routes=THS),
    "quote-mismatch": Kind(
        "the quote server leaves out one of the codes, so the whole call fails",
        routes=(*QUOTES, "stock-info"),
    ),
    "package-missing": Kind("the package of a day does not exist", routes=("g4day",)),
    "package-part": Kind("a package has only a third of the codes", routes=("g4day",)),
    "package-old": Kind("a day's package has the bars of the day before", routes=("g4day",)),
    "missing-days": Kind("days of a range are skipped", {"days": "1"}, routes=(RANGE,)),
}

# answers of the quote servers only
FRAME_KINDS: dict[str, Kind] = {
    "leftover": Kind("quote servers: bytes after the last row", {"bytes": "1"}, routes=FRAMES),
    "wrong-length": Kind(
        "quote servers: a response is shorter than announced", {"bytes": "1"}, routes=FRAMES
    ),
}

WHOLE = ("bytes", "keep", "drop", "page", "days", "which", "count", "rows")
NUMBERS = ("seconds", "jitter", "at", "status", "calls", "per_second", "row")
CATALOGUE = Catalogue(
    KINDS | FRAME_KINDS,
    {**dict.fromkeys(WHOLE, check_count), **dict.fromkeys(NUMBERS, float)},
    example="nth=3:first=2:every=10:p=0.05",
    routes=(*ROUTES, XDXR),
    last="message",
)
