"""Corporate actions from the TDX quote servers, by their xdxr request.

They send single-precision floats, each read as the shortest decimal that gives the same float. They
know only the sum of bonus and transferred shares.
"""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from loaders.landing.rejects import Rejected
from loaders.tdx import actions
from loaders.tdx.actions import ActionSet, CorporateAction, Refused
from loaders.tdx.servers.codec import Event
from loaders.trading_time import FIRST_CHINESE_DAY, number_to_date

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
        day = number_to_date(event.day)
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
