"""Corporate actions from the TDX quote servers, by their xdxr request.

The servers are several, public and unreliable: if one fails, the next takes over. They send
single-precision floats, each read as the shortest decimal that gives the same float. They know only
the sum of bonus and transferred shares.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import orjson

from loaders.engine.outcome import SourceGone
from loaders.landing.rejects import Rejected
from loaders.tdx import actions
from loaders.tdx.actions import ActionSet, CorporateAction, Refused
from loaders.tdx.client.quote_server import QuoteServer
from loaders.trading_time import FIRST_CHINESE_DAY
from quotemill.errors import UpstreamError

log = logging.getLogger(__name__)

MARKETS = {"sz": 0, "sh": 1, "bj": 2}
MOST_SERVERS = 8
TIMEOUT = 5.0

# field of the answer → column; None in the answer where the category does not carry it
AMOUNT_FIELDS = {
    "fenhong": "cash_per10_yuan",
    "songzhuangu": "bonus_total_per10",
    "peigu": "rights_per10",
    "peigujia": "rights_price_yuan",
}
COUNT_FIELDS = {"houzongguben": "total_shares_10k", "panhouliutong": "float_shares_10k"}


def build_actions(code: str, answer: Sequence[Mapping[str, Any]]) -> ActionSet:
    """Corporate actions of a code; it is covered if the answer has rows, all good."""
    good, bad = read_answer(code, answer)
    return ActionSet(actions.number_rows(good), bad, frozenset([code] if good and not bad else ()))


def read_answer(
    code: str, answer: Sequence[Mapping[str, Any]]
) -> tuple[list[CorporateAction], list[Rejected]]:
    """Good rows of one code's answer, and impossible ones with field and rule."""
    good, bad = [], []
    for index, row in enumerate(answer):
        try:
            good.append(_action(code, row))
        except Refused as refused:
            name, rule = refused.args
            payload = orjson.dumps(dict(row), default=str).decode()
            value = str(row.get(name))
            bad.append(Rejected(f"xdxr {code} row {index}", name, rule, value, payload))
    return good, bad


def _action(code: str, row: Mapping[str, Any]) -> CorporateAction:
    category = row["category"]
    if category not in actions.CATEGORIES:
        raise Refused("category", "must be a whole number from 1 to 14")
    try:
        day = date(row["year"], row["month"], row["day"])
    except (TypeError, ValueError):
        raise Refused("day", "year, month and day must form a day") from None
    if day < FIRST_CHINESE_DAY:
        raise Refused("day", f"no exchange traded before {FIRST_CHINESE_DAY}")
    numbers: dict[str, Decimal | None] = {}
    if category == actions.ADJUSTMENT:
        for name, column in AMOUNT_FIELDS.items():
            numbers[column] = _exact(row, name, column) or Decimal(0)
    else:
        numbers |= dict.fromkeys(AMOUNT_FIELDS.values(), Decimal(0))
        for name, column in COUNT_FIELDS.items():
            numbers[column] = _exact(row, name, column)
    if category == actions.SPLIT:
        numbers["split_ratio"] = _exact(row, "suogu", "split_ratio")
        if not numbers["split_ratio"]:
            raise Refused("suogu", "must be above 0 in a row of category 11")
    return CorporateAction(
        code, day, "xdxr", category, source_ref="xdxr", seq=0, adjusts_price=None, **numbers
    )


def _exact(row: Mapping[str, Any], name: str, column: str) -> Decimal | None:
    """The decimal behind a single-precision float of up to seven digits.

    Raises Refused for a number outside 0 to 10^9.
    """
    value = row[name]
    if value is None:
        return None
    if not math.isfinite(value) or not 0 <= value < 10**9:
        raise Refused(name, "must be a number from 0 to 10^9")
    shortest = Decimal(np.format_float_positional(np.float32(value), trim="-"))
    places: int = actions.PRECISION[column][1]
    return round(shortest, places)


class QuoteServers:
    """One connection, moved to the next server if it fails; silent ones are left out."""

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        """addresses: in the order to try"""
        self._addresses = list(addresses)
        self._server: QuoteServer | None = None
        self._ever_answered = self._stopped = False
        self._gone: SourceGone | None = None

    def ask(self, code: str) -> list[dict[str, Any]]:
        """Request the rows of one code from a few servers; blocks.

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
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def _leave_server(self, error: OSError | ValueError) -> str:
        """Leave the current server, for ever if it is silent; return the reason as text."""
        is_silent = self._server is None or isinstance(error, TimeoutError)
        self.close()
        address = self._addresses.pop(0)
        why = str(error) or type(error).__name__
        if is_silent:
            named = ":".join(map(str, address))
            log.warning("the quote server %s does not answer and is left out (%s)", named, why)
        else:
            self._addresses.append(address)
        return why

    def _connect(self) -> QuoteServer:
        if self._server is None:
            self._server = QuoteServer(self._addresses[0], timeout=TIMEOUT)
            self._server.greet()
        return self._server
