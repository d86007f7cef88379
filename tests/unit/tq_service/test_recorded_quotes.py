"""Terms in quotes that were recorded from the real servers."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loaders.tq.client.program.quotes import terms


def test_recorded_quotes_have_limits_and_figures_of_the_day_before(real_tq_data: Path) -> None:
    """Market data has no margin, fee, tick and lot size: the service of contracts has them."""
    names = ("quotes_recorded.json", "quotes_recorded_2020.json")
    recorded = {k: v for n in names for k, v in json.loads((real_tq_data / n).read_text()).items()}
    session: Any = SimpleNamespace(quotes=lambda codes: [recorded.get(code, {}) for code in codes])
    copper, *_, unknown = rows = terms(session, [*recorded, "SHFE.cu9901"])
    absent = dict.fromkeys(("margin", "commission", "price_tick", "volume_multiple"))
    assert copper == absent | {
        "contract": "SHFE.cu1909",
        "quoted_at": 1568617199999500000,
        "upper_limit": "49650.0",
        "lower_limit": "44920.0",
        "pre_settlement": "47290.0",
        "pre_close": "47590.0",
        "pre_open_interest": "13260",
    }
    given = set(copper) - set(absent)
    assert all(row[name] is not None for row in rows[:-1] for name in given)
    assert {value for name, value in unknown.items() if name != "contract"} == {None}
    # as trading systems write that there is no number
    session.quotes = lambda _: [{"upper_limit": 1.7976931348623157e308, "lower_limit": "-"}]
    assert {v for k, v in terms(session, ["A"])[0].items() if k != "contract"} == {None}
