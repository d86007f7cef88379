"""Catalogue of the faults of the gateway.

    permission:symbol=MSFT                 no live data of that stock and its options
    disconnect:after=50                    the 50th request for market data breaks the connection
    no-greeks:share=0.2                    a fifth of the options, always the same ones

`symbol` is that of the stock, `conid` one contract; `times` is how often a rule strikes (default:
always), `after` from which request for market data on (counted over all connections), `share`
which part of the contracts; `from` and `until` (HHMM) limit any rule to hours of the clock in New
York.
"""

from dataclasses import replace
from datetime import date, datetime

from loaders.sandbox.faults import Catalogue, Kind, Rule, check_share

SYMBOL = {"symbol": ""}
CONTRACT = {"symbol": "", "conid": ""}
SHARE = {**CONTRACT, "share": "1"}
OFTEN = {"times": ""}
ONCE = {"times": "1"}
A_WHILE = {"after": "1", "seconds": "0.5"}
HOURS = {"from": "", "until": ""}
FARMS = ("quotes", "history", "contracts")

_KINDS: dict[str, Kind] = {
    # the log-in
    "client-id": Kind("a client id is in use", {"id": "", **OFTEN}),
    "no-login": Kind("the login never gets a response", OFTEN),
    # the connection
    "latency": Kind("responses and first ticks come late", {"seconds": "0.2", "jitter": "0"}),
    "disconnect": Kind("a request breaks the connection", {"after": "1", **ONCE}),
    "stall": Kind(
        "after a request, the connection stays open but never responds",
        {"after": "1", "at": "quotes", **ONCE},
    ),
    "restart": Kind(
        "a request breaks all connections and closes the port for a while", {**A_WHILE, **ONCE}
    ),
    "connectivity": Kind(
        "the gateway loses its servers (1100) and recovers (1101, subscriptions lost, or 1102)",
        {**A_WHILE, "code": "1102", **ONCE},
    ),
    "clock-off": Kind("the gateway's clock is this far ahead of the market's", {"seconds": "90"}),
    # limits
    "rate": Kind("limit of messages a second; the third breach disconnects", {"per_second": "50"}),
    "lines": Kind("limit of contracts that are subscribed at once", {"count": "100"}),
    "pacing": Kind("requests for market data are refused (100)", {"after": "1", **ONCE}),
    # permissions
    "permission": Kind(
        "no live data: 354, 10089, 10168, 10186 nothing; 10090 no greeks; 10091 no quotes",
        {**SYMBOL, "code": "354", "delayed": "yes"},
    ),
    "competing": Kind("another log-in takes the market data (10197)", OFTEN),
    "notice": Kind(
        "a notice, or an unknown number, before quotes, history or contracts",
        {"code": "2176", "message": "", "at": "", **OFTEN},
    ),
    "error": Kind(
        "a request for market data fails",
        {**CONTRACT, "code": "420", "message": "", **OFTEN},
        needs=("code",),
    ),
    # market data
    "mute": Kind("accepted, but nothing ever arrives", {**SHARE, **OFTEN}),
    "slow": Kind(
        "each request for a stock's quote moves the clock on: what a batch takes",
        {**SYMBOL, "seconds": "20"},
    ),
    "greeks-late": Kind("greeks and open interest lag behind the quote", {"seconds": "0.5"}),
    "snapshot-end": Kind("a snapshot ends this long after its ticks", {"seconds": "11"}),
    "no-greeks": Kind("options without greeks", SHARE),
    "sentinel-greeks": Kind("greeks of -1, -2 and the largest double", SHARE),
    "no-quote": Kind("bid and ask without a value", {**SHARE, "value": "-1"}),
    "old-last": Kind("the last trade is of an earlier day: volume 0, bid and ask of -1", SHARE),
    "absurd-bid": Kind("a bid of 100,000,000", SHARE),
    "unset-sizes": Kind(
        "sizes, volume and open interest without a value", {**SHARE, "value": f"{2**63 - 1}"}
    ),
    "crossed": Kind("a bid above the ask", SHARE),
    "no-oi": Kind("no open interest", SHARE),
    "frozen-oi": Kind(
        "open interest stays as it was at the end of that day",
        {**SHARE, "since": ""},
        needs=("since",),
    ),
    # contracts and history
    "secdef-empty": Kind("no option parameters", {**SYMBOL, **OFTEN}),
    "secdef-elsewhere": Kind(
        "option parameters of exchanges other than SMART", {**SYMBOL, **OFTEN}
    ),
    "secdef-hang": Kind("option parameters that never come", {**SYMBOL, **OFTEN}),
    "flaky-contract": Kind("a contract is not found although it exists", {**SHARE, **OFTEN}),
    "conid-zero": Kind("contract details without a number (0)", SHARE),
    "same-conid": Kind(
        "contract details with the number of another contract",
        {**CONTRACT, "of": ""},
        needs=("of",),
    ),
    "two-listings": Kind(
        "a stock has a second listing, at another exchange", {**SYMBOL, "exchange": "LSEETF"}
    ),
    "row-twice": Kind("contract details come twice", SHARE),
    "bad-multiplier": Kind("contract details with another multiplier", {**SHARE, "value": ""}),
    "details-cut": Kind(
        "contract details without their end, with an unknown number instead", {**SHARE, **OFTEN}
    ),
    "details-hang": Kind("contract details without a response", {**SHARE, **OFTEN}),
    "history": Kind("historical data fail", {**SYMBOL, "code": "162", "message": "", **OFTEN}),
    "no-history": Kind("historical data without a bar", {**SYMBOL, **OFTEN}),
}
# every fault may be limited to some hours
KINDS = {name: replace(kind, options=kind.options | HOURS) for name, kind in _KINDS.items()}
WHOLE = ("after", "times", "code", "count", "per_second", "id", "conid", "of")


def is_within_hours(rule: Rule, now: datetime) -> bool:
    """Whether a rule is on at a time of New York."""
    clock, until = f"{now:%H%M}", rule.option("until")
    return rule.option("from") <= clock and (not until or clock < until)


def _check_clock(value: str) -> None:
    datetime.strptime(value, "%H%M")


def _check_farm(value: str) -> None:
    if value not in FARMS:
        raise ValueError(f"at={value} is not one of {', '.join(FARMS)}")


def _check_yes_no(value: str) -> None:
    if value not in ("yes", "no"):
        raise ValueError(f"delayed={value} is neither yes nor no")


CATALOGUE = Catalogue(
    KINDS,
    {
        **dict.fromkeys(WHOLE, int),
        **dict.fromkeys(("seconds", "jitter"), float),
        "share": check_share,
        "delayed": _check_yes_no,
        "at": _check_farm,
        "since": date.fromisoformat,
        **dict.fromkeys(HOURS, _check_clock),
    },
    example="symbol=AAPL:after=50:share=0.2:seconds=0.5:code=354",
)
