"""The gateway's numbers and what each asks for: the seed ib_error_codes, for SQL too.

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

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast, get_args

from quotemill.errors import SettingsError
from quotemill.foreign import read_records, reading
from quotemill.warehouse.dbt_project import find_project

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
CUT_OFF, RESTORED = (1100, 2110), (1101, 1102)  # from the servers, and back
CLOCK_OFF = 0  # our own number, beside those of the gateway
COMPETING_SESSION = "competing_session"
CONNECTIVITY = "connectivity"
UNKNOWN = "unknown"
INVALID_REQUEST = "invalid_request"
NOTICE = "notice"
# failures of a contract that brings nothing, such as a delisted one
MUTE = (NO_ANSWER, NO_PRICE, NO_CONTRACT)
NOT_FROM_CODES = (GATEWAY_GONE, NO_ANSWER, NO_PRICE, NOT_ASKED)


FIELDS = ("error_code", "message_has", "meaning", "error_type", "action", "flag")


@dataclass(frozen=True)
class ErrorCode:
    """`flag` goes to data_quality_flag of a row with data; empty: no flag.

    message_has  what the message has, as a regular expression; empty: anything
    """

    code: int
    meaning: str
    action: Action
    error_type: str
    flag: str = ""
    message_has: str = ""


@cache
def read_codes() -> tuple[ErrorCode, ...]:
    """The numbers of seeds/ib_error_codes.csv, in its order. Raises SettingsError."""
    rows = []
    for place, row in read_records(find_project().root / "seeds" / "ib_error_codes.csv", FIELDS):
        code, has, meaning, error_type, action, flag = (row[name] or "" for name in FIELDS)
        if not code:  # what comes from no number
            continue
        with reading(place, SettingsError):
            if action not in get_args(Action):
                raise SettingsError(
                    f"{place}: unknown action {action!r}",
                    hint=f"Choose one of: {', '.join(get_args(Action))}.",
                )
            re.compile(has)
            rows.append(ErrorCode(int(code), meaning, cast(Action, action), error_type, flag, has))
    return tuple(rows)


def is_notice(code: int) -> bool:
    return 2100 <= code < 2200


def classify_code(code: int, message: str = "") -> ErrorCode:
    """The row of a code: the first whose text is in the message, else the one without a text."""
    match = ErrorCode(code, "not in the table", "wait", NOTICE if is_notice(code) else UNKNOWN)
    for row in read_codes():
        if (
            row.code == code
            and row.message_has
            and re.search(row.message_has, message, re.IGNORECASE)
        ):
            return row
        if row.code == code and not row.message_has:
            match = row
    return match
