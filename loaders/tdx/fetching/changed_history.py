"""Answers of the service that would rewrite final bars.

One whose closes contradict most of them (bars of another code, tenfold prices) lands nothing and is
a failure of its key, on record among the rejected rows. The same answer of another day lands, as
does any with `--accept-loss`, or what a file has. A smaller change lands and is a finding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date

import numpy as np
import orjson
import psycopg
from psycopg import sql

from loaders.engine.outcome import Outcome
from loaders.landing.rejects import Rejected, open_rejects
from loaders.tdx.bars import records
from loaders.tdx.bars.stored_bars import Stored
from loaders.tdx.context import Context, Dataset
from loaders.warehouse.tables import LandedTable

REFUSED, CHANGED = "refused history", "history changed"
RULE = "an answer has the closes of final bars"
LEAST = 3  # compared bars: of fewer most is one
CENT = 10  # li, to which files round the closes of indices
SHOWN = 10  # newest closes that another answer must have, too


def check_history(
    ctx: Context,
    dataset: Dataset,
    outcomes: Iterable[Outcome],
    stored: Mapping[str, Stored],
    split: Callable[[str], tuple[str, str | None]] = lambda key: (key, None),
) -> Iterator[Outcome]:
    """Pass outcomes on, those of contradicting answers as failures; not on the event loop.

    split: the code and the period of a key
    """
    doubts = ctx.ask(lambda conn: open_rejects(conn, ctx.load.source.rejected, dataset.name))
    refused = {doubt.row_key: doubt for doubt in doubts if doubt.field == REFUSED}
    for outcome in outcomes:
        before, key = stored.get(outcome.key), outcome.key
        new = _closes_of_service(outcome) if before else {}
        if before is None or not new:
            yield outcome
            continue
        old = before.closes
        if 2 * len(old) < len(new) or _find_changes(new, old):
            span = min(new), max(new)
            # bound at once: the work is repeated where the warehouse was away
            old = ctx.ask(_reader(dataset.landed, *split(key), span))
        yield _judge(ctx, dataset.name, outcome, new, old, refused.get(key))


def _closes_of_service(outcome: Outcome) -> dict[date, int]:
    if outcome.rows is None:
        return {}
    routes = np.array([route.startswith("/api/") for route in records.ROUTES])
    bars = outcome.rows[routes[outcome.rows["route"]] & outcome.rows["final"]]
    return dict(zip(records.to_dates(bars["day"]), bars["close"].tolist(), strict=True))


def _find_changes(new: Mapping[date, int], old: Mapping[date, int]) -> list[date]:
    return [day for day, close in new.items() if abs(old.get(day, close) - close) >= CENT]


def _reader(
    table: LandedTable, code: str, period: str | None, span: tuple[date, date]
) -> Callable[[psycopg.Connection], dict[date, int]]:
    query = sql.SQL(
        "select trade_date, close from {} where code = %s and is_final"
        " and trade_date between %s and %s{}"
    ).format(
        sql.Identifier(table.dataset, table.name),
        sql.SQL(" and period = {}").format(period) if period else sql.SQL(""),
    )
    return lambda conn: dict(conn.execute(query, (code, *span)).fetchall())


def _judge(
    ctx: Context,
    name: str,
    outcome: Outcome,
    new: Mapping[date, int],
    old: Mapping[date, int],
    refused: Rejected | None,
) -> Outcome:
    changed, compared = _find_changes(new, old), len(new.keys() & old.keys())
    text = ", ".join(f"{day}: {new[day]} for {old[day]}" for day in changed[-LEAST:])
    text = f"{len(changed)} of {compared} final closes are others, such as {text}"
    newest = {str(day): new[day] for day in changed[-SHOWN:]}
    payload = {"code": outcome.key.partition(" ")[0], "asked_on": ctx.today, "closes": newest}
    row = Rejected(outcome.key, CHANGED, RULE, text, orjson.dumps(payload).decode())
    rejected = [*outcome.rejected, *([replace(refused, is_withdrawn=True)] if refused else [])]
    landing = replace(outcome, rejected=[*rejected, *([row] if changed else [])])
    if compared < LEAST or 2 * len(changed) <= compared or _is_confirmed(refused, new, ctx.today):
        return landing
    hint = "; what is stored stays until another day's answer is the same"
    judged = ctx.refuse_loss(name, text, landing, hint)
    if judged is landing:
        return landing
    doubt = replace(row, field=REFUSED)
    return replace(judged, rejected=[*outcome.rejected, doubt], gone=outcome.gone)


def _is_confirmed(refused: Rejected | None, new: Mapping[date, int], today: date) -> bool:
    """Whether an answer of an earlier day had the same closes."""
    if refused is None:
        return False
    doubt = orjson.loads(refused.payload)
    same = all(new.get(date.fromisoformat(day)) == close for day, close in doubt["closes"].items())
    return bool(same and doubt["asked_on"] < str(today))
