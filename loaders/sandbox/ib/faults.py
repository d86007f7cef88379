"""Scripted faults of the gateway, as data. None is active unless a rule says so.

A rule is written as `KIND[:name=value ...]`:

    permission:symbol=MSFT                 no live data of that stock and its options
    disconnect:after=50                    the 50th request for market data breaks the connection
    no-greeks:share=0.2                    a fifth of the options, always the same ones

What a rule does not name it hits everywhere. `symbol` is that of the stock, `conid` one contract;
`times` is how often a rule strikes (default: always), `after` from which request for market data on
(counted over all connections), `share` which part of the contracts.
"""

from collections.abc import Iterable
from datetime import date

from loaders.sandbox.world import fault_plan
from loaders.sandbox.world.fault_plan import Catalogue, Kind, Rule

WHAT = {"symbol": "", "conid": ""}
SOME = {**WHAT, "share": "1"}

KINDS: dict[str, Kind] = {
    # coming in
    "client-id": Kind("a client id is in use", {"id": "", "times": ""}),
    "no-login": Kind("the log-in is never answered", {"times": ""}),
    # the connection
    "latency": Kind("answers and first ticks come late", {"seconds": "0.2", "jitter": "0"}),
    "disconnect": Kind("a request breaks the connection", {"after": "1", "times": "1"}),
    "restart": Kind(
        "a request finds the gateway restarting: all connections break, the port is closed for a while",
        {"after": "1", "seconds": "0.5", "times": "1"},
    ),
    "connectivity": Kind(
        "the gateway loses its servers (1100), and finds them again (1101, subscriptions lost, or 1102)",
        {"after": "1", "seconds": "0.5", "code": "1102", "times": "1"},
    ),
    "farm": Kind(
        "the farm of quotes (2103), history (2105) or contracts (2157) is broken for a while",
        {"after": "1", "seconds": "0.5", "code": "2103", "times": "1"},
    ),
    # limits
    "rate": Kind("so many messages a second are taken; the third breach disconnects",
                 {"per_second": "50"}),
    "lines": Kind("so many contracts may be looked at at once", {"count": "100"}),
    "pacing": Kind("requests for market data are turned away (100)", {"after": "1", "times": "1"}),
    # who may see what
    "permission": Kind(
        "no live data: 354, 10089, 10168, 10186 nothing; 10090 no greeks; 10091 no quotes",
        {"symbol": "", "code": "354", "delayed": "yes"},
    ),
    "competing": Kind("another log-in takes the market data (10197)", {"times": ""}),
    "error": Kind("a request for market data fails",
                  {**WHAT, "code": "420", "message": "", "times": ""}, ("code",)),
    # what is served
    "mute": Kind("accepted, and nothing ever arrives", {**SOME, "times": ""}),
    "greeks-late": Kind("greeks and open interest lag behind the quote", {"seconds": "0.5"}),
    "snapshot-end": Kind("a snapshot ends so long after its ticks", {"seconds": "11"}),
    "no-greeks": Kind("options without greeks", SOME),
    "sentinel-greeks": Kind("greeks of -1, -2 and the largest double", SOME),
    "no-quote": Kind("bid and ask of -1", SOME),
    "crossed": Kind("a bid above the ask", SOME),
    "no-oi": Kind("no open interest", SOME),
    "frozen-oi": Kind("open interest stays what it was at the end of that day",
                      {"symbol": "", "since": ""}, ("since",)),
    # contracts and history
    "secdef-empty": Kind("no option parameters", {"symbol": "", "times": ""}),
    "secdef-hang": Kind("option parameters that never come", {"symbol": "", "times": ""}),
    "flaky-contract": Kind("a look-up finds nothing although there is something",
                           {**SOME, "times": ""}),
    "details-hang": Kind("a look-up that is never answered", {**SOME, "times": ""}),
    "history": Kind("historical data fail",
                    {"symbol": "", "code": "162", "message": "", "times": ""}),
    "no-history": Kind("historical data without a bar", {"symbol": "", "times": ""}),
}  # fmt: skip
WHOLE = ("after", "times", "code", "count", "per_second", "id", "conid")


def _share(value: str) -> None:
    if not 0 <= float(value) <= 1:
        raise ValueError(f"share={value} (0 to 1)")


def _yes_no(value: str) -> None:
    if value not in ("yes", "no"):
        raise ValueError(f"delayed={value} (yes or no)")


CATALOGUE = Catalogue(
    KINDS,
    {
        **dict.fromkeys(WHOLE, int),
        **dict.fromkeys(("seconds", "jitter"), float),
        "share": _share,
        "delayed": _yes_no,
        "since": date.fromisoformat,
    },
    "symbol=AAPL, after=50, share=0.2, seconds=0.5, code=354",
)
parse_rule = CATALOGUE.parse


class FaultPlan(fault_plan.FaultPlan):
    """The rules that are active in the sandbox of the gateway."""

    def __init__(self, rules: Iterable[Rule | str] = ()) -> None:
        super().__init__(CATALOGUE, rules)
