"""Corporate actions from the TDX quote servers, by their xdxr request.

The servers are several, public and unreliable: if one fails, the next takes over. They send
single-precision floats, each read as the shortest decimal that gives the same float. They know only
the sum of bonus and transferred shares.
"""

import contextlib
import logging
import math
import socket
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

    def __init__(self, hosts: Sequence[tuple[str, int]] | None = None) -> None:
        """Take (address, port) in the order to try; by default the list of pytdx."""
        from pytdx.config.hosts import hq_hosts
        from pytdx.errors import TdxConnectionError
        from pytdx.hq import TdxHq_API

        self._new_api, self._unreachable = TdxHq_API, TdxConnectionError
        self._hosts = list(hosts if hosts is not None else [(ip, port) for _, ip, port in hq_hosts])
        self._api: Any = None
        self._ever_answered = self._stopped = False
        self._gone: SourceGone | None = None

    def ask(self, code: str) -> list[Mapping[str, Any]]:
        """Request the rows of one code from a few servers; blocks.

        Raises SourceGone if no server is left or none ever answered, and from then on, else
        UpstreamError.
        """
        if self._gone is not None:
            raise self._gone
        why = "none is configured"
        for _ in range(min(MOST_SERVERS, len(self._hosts))):
            try:
                answer = self._connect().get_xdxr_info(MARKETS[code[:2]], code[2:])
            except Exception as error:  # on a strange answer pytdx can raise any error
                why = self._leave_server(error)
            else:
                self._ever_answered = True
                return list(answer)
            if self._stopped:
                break
        text = f"no TDX quote server answered for {code} ({why})"
        hint = "the public servers come and go: try again later, or use CSV files"
        if self._hosts and self._ever_answered:
            raise UpstreamError(text, hint=hint)
        self._gone = SourceGone(text, hint=hint)
        raise self._gone

    def stop(self) -> None:
        """End a request that another thread is waiting for."""
        self._stopped = True
        self.close()

    def close(self) -> None:
        api, self._api = self._api, None
        if api is not None and api.client is not None:
            # disconnect() of pytdx leaves the socket open when the other side has gone
            with contextlib.suppress(OSError):
                api.client.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for an answer
            api.client.close()

    def _leave_server(self, error: Exception) -> str:
        """Leave the current server; return the reason as text."""
        cause = getattr(error, "original_exception", None) or error
        why = str(cause) or type(cause).__name__
        self.close()
        host = self._hosts.pop(0)
        if isinstance(cause, self._unreachable | TimeoutError):
            address = ":".join(map(str, host))
            log.warning("the quote server %s does not answer and is left out (%s)", address, why)
        else:
            self._hosts.append(host)
        return why

    def _connect(self) -> Any:
        if self._api is None:
            self._api = self._new_api(raise_exception=True)
            self._api.connect(*self._hosts[0], time_out=TIMEOUT)
        return self._api
