"""Settlement prices of contracts."""

from datetime import date
from typing import Any

from loaders.tq.client.program.codes import server_code
from loaders.tq.client.program.failure import Failure
from loaders.tq.client.program.quotes import number
from loaders.tq.client.program.session import Session


def settlements(
    session: Session, contract: str, first: str, last: str, days: int
) -> list[tuple[str, str]]:
    """(day, price) of the days that have one, of so many trading days."""
    session.check_known([contract])
    code = server_code(contract)
    try:
        frame = session.settlements(code, date.fromisoformat(first), days)
    except Exception as error:  # of another host than all else: it may be away, or blocked, alone
        raise Failure("settlements", f"{type(error).__name__}: {error}") from error
    names, rows = {code, code.partition(".")[2]}, dict[str, str]()
    for row in frame.to_dict("records"):
        day, price = _day(row["datetime"]), number(row["settlement"], is_price=True)
        if row["symbol"] in names and first <= day <= last and price is not None:
            rows[day] = price
    return sorted(rows.items())


def _day(text: Any) -> str:
    """The date of 20241011, or of a text that begins with 2024-10-11."""
    try:
        return date.fromisoformat(str(text).split()[0]).isoformat()
    except (ValueError, IndexError) as error:
        raise Failure("answer", f"{text!r} is not a day of a settlement price") from error
