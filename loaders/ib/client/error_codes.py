"""The gateway's numbers and what each asks for: one table for the loader and for SQL.

| action | what to do |
|---|---|
| info | write it down; it is no error |
| wait | keep waiting: data come, or come back, without a new request |
| retry | request again after the pauses of `retry_waits`, by a new connection |
| degrade | request delayed data, if that is allowed; else the row fails with `no_permission` |
| negative | there is no such contract in this session: remember that |
| skip | the row fails; go on with the others |
| next_id | try the next client id |
| fatal | no further request makes sense: our mistake, or one that a person must fix |

2100 to 2199 are notices: what is not in the table is `wait` and `notice`. Any other number that is
not in it is `wait` and `unknown`: only the time-out ends its request, without what has not come.
"""

from dataclasses import dataclass
from typing import Literal

Action = Literal["info", "wait", "retry", "degrade", "negative", "skip", "next_id", "fatal"]

# values of `error_type` that come from no number
GATEWAY_GONE = "gateway_gone"
NO_ANSWER = "no_answer"
NO_PRICE = "no_price"  # something came, but no current price
NOT_ASKED = "not_asked"  # its turn did not come
# values that other modules use
NO_PERMISSION = "no_permission"
PACING = "pacing"
NO_LINES = "no_lines"
NO_CONTRACT = "no_contract"
AMBIGUOUS = "ambiguous"
PARTIAL = "partial"
CLOCK_OFF = 0  # our own number, beside those of the gateway
COMPETING_SESSION = "competing_session"
UNKNOWN = "unknown"
INVALID_REQUEST = "invalid_request"
NOTICE = "notice"
# failures of a contract that brings nothing, such as a delisted one
MUTE = (NO_ANSWER, NO_PRICE, NO_CONTRACT)
NOT_FROM_CODES = (GATEWAY_GONE, NO_ANSWER, NO_PRICE, NOT_ASKED)


@dataclass(frozen=True)
class ErrorCode:
    """`flag` goes to data_quality_flag of a row with data; empty: no flag."""

    code: int
    meaning: str
    action: Action
    error_type: str
    flag: str = ""


ERROR_CODES: tuple[ErrorCode, ...] = (
    ErrorCode(CLOCK_OFF, "the gateway's clock is not this machine's", "skip", "clock_off"),
    ErrorCode(100, "more messages a second than are taken", "retry", PACING),
    ErrorCode(101, "all market data lines are in use", "retry", NO_LINES),
    ErrorCode(162, "historical data: no data, or too many requests", "retry", "history"),
    ErrorCode(165, "state of the historical data service", "info", "info"),
    ErrorCode(200, "no such contract, or several", "negative", NO_CONTRACT),
    ErrorCode(300, "a request that was cancelled is not known", "info", "info"),
    ErrorCode(321, "the request is invalid", "fatal", "invalid_request", "snapshot_error"),
    ErrorCode(322, "the request cannot be processed", "skip", "invalid_request", "snapshot_error"),
    ErrorCode(326, "the client id is in use", "next_id", "client_id_in_use"),
    ErrorCode(354, "no subscription; delayed data may exist", "degrade", NO_PERMISSION),
    ErrorCode(366, "no historical data request of that number", "info", "info"),
    ErrorCode(420, "the real-time request is invalid, or one too many", "skip", "invalid_request"),
    ErrorCode(502, "the client cannot connect", "retry", GATEWAY_GONE),
    ErrorCode(504, "not connected", "retry", GATEWAY_GONE),
    ErrorCode(1100, "the gateway lost its servers", "wait", "connectivity"),
    ErrorCode(1101, "the servers are back, subscriptions are lost", "retry", "connectivity"),
    ErrorCode(1102, "the servers are back, subscriptions go on", "info", "connectivity"),
    ErrorCode(2103, "a market data farm is broken", "wait", "connectivity"),
    ErrorCode(2104, "a market data farm is connected", "info", "info"),
    ErrorCode(2105, "a historical data farm is broken", "wait", "connectivity"),
    ErrorCode(2106, "a historical data farm is connected", "info", "info"),
    ErrorCode(2107, "a historical data farm sleeps until it is asked", "info", "info"),
    ErrorCode(2108, "a market data farm sleeps until it is asked", "info", "info"),
    ErrorCode(2110, "the gateway lost its servers, and tries by itself", "wait", "connectivity"),
    ErrorCode(2119, "a market data farm is connecting", "info", "info"),
    ErrorCode(2157, "the farm of contracts is broken", "wait", "connectivity"),
    ErrorCode(2158, "the farm of contracts is connected", "info", "info"),
    ErrorCode(10089, "another subscription is needed", "degrade", NO_PERMISSION),
    ErrorCode(
        10090, "a part is not subscribed, the rest goes on", "wait", PARTIAL, "missing_greeks"
    ),
    ErrorCode(10091, "a part needs another subscription", "wait", PARTIAL, "missing_price"),
    ErrorCode(10167, "delayed data instead of live", "info", "delayed_instead", "delayed_fallback"),
    ErrorCode(10168, "no subscription, delayed data not enabled", "degrade", NO_PERMISSION),
    ErrorCode(10186, "no subscription, delayed data not enabled", "degrade", NO_PERMISSION),
    ErrorCode(10197, "another log-in uses the market data", "retry", COMPETING_SESSION),
)
_BY_CODE = {row.code: row for row in ERROR_CODES}


def is_notice(code: int) -> bool:
    return 2100 <= code < 2200


def classify_code(code: int, message: str = "") -> ErrorCode:
    """The row of a code. Three numbers mean two things each, which the text decides."""
    text = message.casefold()
    row = _BY_CODE.get(code)
    if row is None:
        return ErrorCode(code, "not in the table", "wait", NOTICE if is_notice(code) else UNKNOWN)
    if code in (162, 420) and "pacing" in text:
        return ErrorCode(code, "too many requests", "retry", PACING)
    if code in (162, 420) and ("permission" in text or "subscri" in text):
        if code == 420:
            return ErrorCode(code, "no permission for live data", "degrade", NO_PERMISSION)
        return ErrorCode(code, "no permission for historical data", "skip", NO_PERMISSION)
    if code == 162 and "no data" in text:
        return ErrorCode(code, "no historical data", "skip", "history")
    if code == 200 and "ambiguous" in text:
        return ErrorCode(code, "several contracts fit: name the trading class", "skip", AMBIGUOUS)
    return row
