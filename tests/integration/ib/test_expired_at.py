"""When options end, by SQL's rule and by the calendar of NYSE."""

from collections.abc import Callable
from datetime import date, datetime

import psycopg
from jinja2 import Environment

from loaders.ib.slots import sessions_between
from quotemill.warehouse.dbt_project import find_project


def test_options_end_at_the_close_of_each_session(new_database: Callable[..., str]) -> None:
    text = (find_project().root / "macros" / "options" / "expired_at.sql").read_text()
    expression = Environment().from_string(text + "{{ expired_at('d') }}").render()
    sessions = sessions_between(date(2024, 1, 1), date(2030, 12, 31))
    with psycopg.connect(new_database()) as conn:
        rows: list[tuple[date, datetime]] = conn.execute(
            f"select d, {expression} from unnest(%s::date[]) as d".encode(),
            ([session.trade_date for session in sessions],),
        ).fetchall()
    assert [(s.trade_date, s.close_at) for s in sessions] == rows
