"""Bars of contracts, by day and by minute."""

from collections.abc import Sequence
from typing import Any

from loaders.landing.no_value import is_unset
from loaders.tq.client.program.codes import own_code, server_code
from loaders.tq.client.program.session import Session, cst

DAY_SECONDS, MINUTE_SECONDS = 86_400, 60
MOST_BARS = 2_000  # no contract is listed for longer than some 750 trading days
MOST_MINUTES = 8_000  # two weeks of the longest hours; the servers give no more in one chart
TEXTS = ("contract", "trade_date")
PRICES = ("open", "high", "low", "close")
NUMBERS = (*PRICES, "volume", "open_oi", "close_oi")


def daily(session: Session, contracts: list[str], first: str, last: str, path: str) -> int:
    session.check_known(contracts)
    rows: list[dict[str, Any]] = []
    for contract in contracts:
        session.send({"progress": f"days of {contract}"})
        code = server_code(contract)
        bars = session.api.get_kline_serial(code, DAY_SECONDS, data_length=MOST_BARS)
        for bar in bars[bars["datetime"] > 0].to_dict("records"):
            day = cst(int(bar["datetime"])).date()
            # of two contracts with one code only this one's
            if first <= day.isoformat() <= last and own_code(code, day) == contract:
                numbers = {name: bar[name] for name in NUMBERS}
                rows.append({"contract": contract, "trade_date": day.isoformat(), **numbers})
    _write(path, rows)
    return len(rows)


def minutes(session: Session, contract: str, start: int, end: int, path: str) -> bool:
    """Write the minutes from `start` to `end` (ns); whether the newest ones reach back to it."""
    session.check_known([contract])
    bars = session.api.get_kline_serial(
        server_code(contract), MINUTE_SECONDS, data_length=MOST_MINUTES
    )
    known = bars[bars["datetime"] > 0].to_dict("records")
    inside = [bar | {"contract": contract} for bar in known if start <= bar["datetime"] < end]
    _write(path, inside, texts=("contract",), whole=("datetime",))
    return len(known) < MOST_MINUTES or known[0]["datetime"] < start


def _write(
    path: str,
    rows: list[dict[str, Any]],
    *,
    texts: Sequence[str] = TEXTS,
    whole: Sequence[str] = (),
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in texts}
    columns |= {name: pa.array([int(row[name]) for row in rows], pa.int64()) for name in whole}
    for name in NUMBERS:
        is_price = name in PRICES
        known = (
            None if is_unset(row[name], is_price=is_price, is_size=not is_price) else row[name]
            for row in rows
        )
        columns[name] = pa.array(known, pa.float64())
    pq.write_table(pa.table(columns), path)
