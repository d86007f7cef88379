"""Catalogue of the faults of the futures servers.

    empty:contract=SHFE.cu2601:day=2025-11-25     that contract-day has no tick
    disconnect:after=4:times=1                    the connection breaks after 4 packets, once
    slow:seconds=0.5                              every packet comes late
    maintenance:from=1900:until=1930              no connection from 19:00 to 19:30 by the clock

`times` is how often a rule strikes (default: always).
"""

from datetime import date, datetime, time

from loaders.sandbox.faults import Catalogue, Kind

DAY = {"contract": "", "day": ""}
OFTEN = {"times": ""}

KINDS: dict[str, Kind] = {
    # the log-in
    "auth": Kind("the token is rejected", {"status": "401", **OFTEN}),
    "licence": Kind(
        "another licence, or a response without one of its fields or without any",
        {"type": "free", "days": "5", "status": "200", "without": ""},
    ),
    "permission": Kind("the account lacks a feature", {"feature": "tq_dl"}),
    "ws": Kind("the upgrade to a WebSocket is rejected", {"status": "403", **OFTEN}),
    "backtests": Kind("backtests are rejected, from this one on", {"after": "1"}),
    "holidays": Kind("the list of holidays is an error page", {"status": "502", **OFTEN}),
    "main-table": Kind("the table of main contracts is an error page", {"status": "404", **OFTEN}),
    "settlements": Kind(
        "settlement prices are an error page; with status 0 the connection is cut",
        {"status": "502", **OFTEN},
    ),
    # the connection
    "maintenance": Kind(
        "no connection between two times of the exchange's clock",
        {"from": "1900", "until": "1930", "status": "503"},
    ),
    "slow": Kind("every packet comes late", {"seconds": "0.5", **OFTEN}),
    "disconnect": Kind(
        "the connection breaks after this many packets", {"after": "4", "times": "1"}
    ),
    "close": Kind("the connection is closed with code 1000", {"after": "4", "times": "1"}),
    "never-ready": Kind("a chart never becomes ready", {**DAY, **OFTEN}),
    "frozen": Kind(
        "no tick of a contract arrives between two times of the clock, and the missing "
        "ones arrive afterwards",
        {"contract": "", "from": "0000", "until": "2359"},
    ),
    "reach": Kind("a chart of the latest ticks starts with only this many", {"ticks": "20"}),
    # what the servers know
    "unknown": Kind("no instrument with that name", {"symbol": ""}, needs=("symbol",)),
    "undescribed": Kind(
        "the list of contracts has one that the query by name leaves out",
        {"symbol": ""},
        needs=("symbol",),
    ),
    "no-series": Kind("a continuous series has no bar", {"variety": ""}, needs=("variety",)),
    "no-mains": Kind(
        "the table of main contracts is missing a product", {"variety": ""}, needs=("variety",)
    ),
    # rows as they are sent
    "empty": Kind("a day without a tick", DAY),
    "short": Kind("a day ends after this many ticks", {**DAY, "keep": "10"}),
    "duplicate": Kind("every tick of a day twice, each with its own number", DAY),
    "late": Kind("a tick of a day arrives after later ones", {**DAY, "row": "5", "by": "3"}),
    "frozen-quote": Kind(
        "the quote of a contract stops updating on a day",
        {"contract": "", "day": ""},
        needs=("contract", "day"),
    ),
    "next-figures": Kind(
        "after the close a quote has the limits and numbers of the next trading day",
        {"contract": ""},
    ),
    "no-terms": Kind("no margin and no fee of a contract", {"contract": ""}),
    "no-settlement": Kind("a contract-day has no settlement price", DAY),
    "lost-ticks": Kind(
        "a day's ticks end after this many, but its bars and quotes are complete",
        {**DAY, "keep": "0"},
    ),
    "still-quotes": Kind(
        "the quotes of a product stop updating at the end of this day",
        {"variety": "", "day": ""},
        needs=("variety", "day"),
    ),
    # what the servers hold from now on
    "revise-ticks": Kind("prices of a day move by this many ticks", {**DAY, "by": "1"}),
    "revise-mains": Kind(
        "the switch to a contract moves by this many trading days",
        {"contract": "", "by": "1"},
        needs=("contract",),
    ),
}


def read_time(text: str) -> time:
    """A time of day as in rules, whose parts are between colons: 1900."""
    return datetime.strptime(text, "%H%M").time()


WHOLE = ("ticks", "after", "times", "status", "keep", "row", "by", "days")
CATALOGUE = Catalogue(
    KINDS,
    {
        **dict.fromkeys(WHOLE, int),
        **dict.fromkeys(("from", "until"), read_time),
        "seconds": float,
        "day": date.fromisoformat,
    },
    example="day=2025-11-25:times=2:seconds=0.5:from=1900",
)
