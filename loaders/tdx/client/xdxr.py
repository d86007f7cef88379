"""Corporate actions from the TDX quote servers, by their xdxr request.

The servers are several, public and unreliable: if one fails, the next takes over. They send
single-precision floats, each read as the shortest decimal that gives the same float. They know only
the sum of bonus and transferred shares.
"""

import logging
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

import numpy as np

from loaders.engine.outcome import SourceGone
from loaders.landing.rejects import Rejected
from loaders.tdx import actions
from loaders.tdx.actions import ActionSet, CorporateAction, Refused
from loaders.tdx.client.quote_server import Event, QuoteServer
from loaders.trading_time import FIRST_CHINESE_DAY
from quotemill.errors import UpstreamError

log = logging.getLogger(__name__)

MARKETS = {"sz": 0, "sh": 1, "bj": 2}
MOST_SERVERS = 8
TIMEOUT = 5.0

# columns of a record's four numbers by category, None for one that is not read; the rest are
# counts of shares
_COLUMNS: dict[int, tuple[str | None, ...]] = {
    actions.ADJUSTMENT: (
        "cash_per10_yuan",
        "rights_price_yuan",
        "bonus_total_per10",
        "rights_per10",
    ),
    actions.SPLIT: (None, None, "split_ratio", None),
    **dict.fromkeys((12, 13, 14, actions.REORGANISATION), (None,) * 4),
}
_COUNTS = (None, None, "float_shares_10k", "total_shares_10k")
_NO_AMOUNTS = dict.fromkeys(filter(None, _COLUMNS[actions.ADJUSTMENT]), Decimal(0))


def build_actions(code: str, answer: Sequence[Event]) -> ActionSet:
    """Corporate actions of a code; it is covered if all rows of the answer are good.

    A record that cannot be true is rejected, with field and rule.
    """
    good, bad = [], []
    for index, event in enumerate(answer):
        try:
            good.append(_action(code, event))
        except Refused as refused:
            name, rule, value = refused.args
            values = map(np.float32, event.values)
            payload = actions.describe_record(code, event.day, event.category, values)
            bad.append(Rejected(f"xdxr {code} row {index}", name, rule, str(value), payload))
    return ActionSet(actions.number_rows(good), bad, frozenset(() if bad else [code]))


def _action(code: str, event: Event) -> CorporateAction:
    category = event.category
    if category not in actions.CATEGORIES:
        raise Refused("category", "must be a whole number from 1 to 15", category)
    try:
        day = date(event.day // 10000, event.day // 100 % 100, event.day % 100)
    except ValueError:
        raise Refused("day", "year, month and day must form a day", event.day) from None
    if day < FIRST_CHINESE_DAY:
        raise Refused("day", f"no exchange traded before {FIRST_CHINESE_DAY}", event.day)
    columns = _COLUMNS.get(category, _COUNTS)
    numbers = _NO_AMOUNTS | {
        name: _exact(value, name) for name, value in zip(columns, event.values, strict=True) if name
    }
    if category == actions.SPLIT and not numbers["split_ratio"]:
        rule = "must be above 0 in a row of category 11"
        raise Refused("split_ratio", rule, event.values[2])
    return CorporateAction(
        code, day, "xdxr", category, source_ref="xdxr", seq=0, adjusts_price=None, **numbers
    )


def _exact(value: float, column: str) -> Decimal:
    """The decimal behind a single-precision float of up to seven digits.

    Raises Refused for a number outside 0 to 10^9.
    """
    if not 0 <= value < 10**9:  # NaN is in no range
        raise Refused(column, "must be a number from 0 to 10^9", value)
    shortest = Decimal(np.format_float_positional(np.float32(value), trim="-"))
    places: int = actions.PRECISION[column][1]
    return round(shortest, places)


class QuoteServers:
    """One connection, moved to the next server if it fails; one that is no good is left out."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        """addresses: in the order to try"""
        self._addresses = list(addresses)
        self._server: QuoteServer | None = None
        self._is_good = self._ever_answered = self._stopped = False
        self._gone: SourceGone | None = None

    def ask(self, code: str) -> list[Event]:
        """Request the events of one code from a few servers; blocks.

        Raises SourceGone if no server is left or none ever answered, and from then on, else
        UpstreamError.
        """
        if self._gone is not None:
            raise self._gone
        why = "none is configured"
        for _ in range(min(MOST_SERVERS, len(self._addresses))):
            try:
                answer = self._connect().request_xdxr(MARKETS[code[:2]], code[2:])
            except (OSError, ValueError) as error:
                why = self._leave_server(error)
            else:
                self._ever_answered = True
                return answer
            if self._stopped:
                break
        text = f"no TDX quote server answered for {code} ({why})"
        hint = "the public servers come and go: try again later, or use CSV files"
        if self._addresses and self._ever_answered:
            raise UpstreamError(text, hint=hint)
        self._gone = SourceGone(text, hint=hint)
        raise self._gone

    def stop(self) -> None:
        """End a request that another thread is waiting for."""
        self._stopped = True
        self.close()

    def close(self) -> None:
        server, self._server, self._is_good = self._server, None, False
        if server is not None:
            server.close()

    def _leave_server(self, error: OSError | ValueError) -> str:
        """Leave the current server, forever if it is silent or no good; return why as text."""
        is_out = not self._is_good or isinstance(error, TimeoutError)
        self.close()
        address = self._addresses.pop(0)
        why = str(error) or type(error).__name__
        if is_out:
            named = ":".join(map(str, address))
            log.warning("the quote server %s is left out: %s", named, why)
        else:
            self._addresses.append(address)
        return why

    def _connect(self) -> QuoteServer:
        if self._server is None:
            self._server = QuoteServer(self._addresses[0], timeout=TIMEOUT)
            self._server.greet()
            self._is_good = True
        return self._server
