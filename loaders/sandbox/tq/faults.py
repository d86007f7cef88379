"""Scripted faults of the futures servers, as data. None is active unless a rule says so.

A rule is written as `KIND[:name=value ...]`:

    empty:contract=SHFE.cu2601:day=2025-11-25     that contract-day has no tick
    disconnect:after=4:times=1                    the connection breaks after 4 packets, once
    slow:seconds=0.5                              every packet comes late

What a rule does not name it hits everywhere. `times` is how often it strikes (default: always).
"""

from collections.abc import Iterable
from datetime import date

from loaders.sandbox.world import fault_plan
from loaders.sandbox.world.fault_plan import Catalogue, Kind, Rule

WHERE = {"contract": "", "day": ""}

KINDS: dict[str, Kind] = {
    # who may come in
    "auth": Kind("the token is refused", {"status": "401", "times": ""}),
    "permission": Kind("the account lacks a feature", {"feature": "tq_dl"}),
    "ws": Kind("the upgrade to a WebSocket is refused", {"status": "403", "times": ""}),
    "holidays": Kind("the list of holidays is an error page", {"status": "502", "times": ""}),
    "main-table": Kind(
        "the table of main contracts is an error page", {"status": "404", "times": ""}
    ),
    # the connection
    "slow": Kind("every packet comes late", {"seconds": "0.5", "times": ""}),
    "disconnect": Kind("the connection breaks after so many packets", {"after": "4", "times": "1"}),
    "close": Kind("the connection is closed with code 1000", {"after": "4", "times": "1"}),
    "never-ready": Kind("a chart never becomes ready", {**WHERE, "times": ""}),
    # what the servers know
    "unknown": Kind("no instrument of that name", {"symbol": ""}, ("symbol",)),
    "no-series": Kind("a continuous series has no bar at all", {"variety": ""}, ("variety",)),
    "no-mains": Kind("the table of main contracts lacks a variety", {"variety": ""}, ("variety",)),
    # rows as they are told
    "empty": Kind("a day without a tick", WHERE),
    "short": Kind("a day ends after so many ticks", {**WHERE, "keep": "10"}),
    "duplicate": Kind("every tick of a day twice, with a number of its own", WHERE),
    "late": Kind("a tick of a day comes after younger ones", {**WHERE, "row": "5", "by": "3"}),
    "one-level": Kind("no levels of the book below the first", WHERE),
    # what the servers hold from now on
    "revise-ticks": Kind("prices of a day are other ones, by so many ticks", {**WHERE, "by": "1"}),
    "revise-mains": Kind(
        "the switch to a contract moves by so many trading days",
        {"contract": "", "by": "1"},
        ("contract",),
    ),
}
REVISIONS = ("revise-ticks", "revise-mains")
WHOLE = ("after", "times", "status", "keep", "row", "by")
CATALOGUE = Catalogue(
    KINDS,
    {**dict.fromkeys(WHOLE, int), "seconds": float, "day": date.fromisoformat},
    "day=2025-11-25, times=2, seconds=0.5",
)
parse_rule = CATALOGUE.parse


class FaultPlan(fault_plan.FaultPlan):
    """The rules that are active in the sandbox of the futures servers."""

    def __init__(self, rules: Iterable[Rule | str] = ()) -> None:
        super().__init__(CATALOGUE, rules)
