"""Dataset `contract_daily`: day bars of every contract that traded in the window.

Evidence, never ticks' substitute: they say which contract held most open interest, and how much of a
day its ticks must add up to. A bar is final once its day has settled (Context.settled). A bar of a day
that is over by the clock, and has not settled, is a failure: bars go on, and quotes do not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pyarrow.compute as pc

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tq import stored
from loaders.tq.context import Context, Dataset, outcome_of, tables, with_columns
from loaders.tq.errors import UnknownSymbol
from loaders.tq.schemas import CONTRACT_DAILY, DAILY_HARVEST

OVERLAP = timedelta(days=10)
TOGETHER = 10  # contracts in one question


def keys(run: Context, varieties: Sequence[str]) -> tuple[str, ...]:
    """Contracts of the window whose bars are not all final, or do not reach back to its first day."""
    cursors, since = run.load.cursors(CONTRACT_DAILY.name), run.ask(stored.bars_from)
    found = []
    for variety in varieties:
        for contract, expires in run.ask(lambda c, v=variety: stored.contracts(c, v, run.first)):  # type: ignore[misc]
            known = cursors.get(contract, "")
            if expires is None or known < str(expires) or _begins_late(run, contract, since):
                found.append(contract)
    return tuple(found)


def _begins_late(run: Context, contract: str, since: Mapping[str, date]) -> bool:
    """Were its bars asked for when the window began later?"""
    return contract not in since or since[contract] > run.first


def fetch(run: Context, contracts: Sequence[str]) -> Iterator[Outcome]:
    cursors = run.load.cursors(CONTRACT_DAILY.name)
    varieties = {stored.variety_of(c) for c in contracts}
    settled, ended = ({v: of(v) for v in varieties} for of in (run.settled, run.ended))
    since = run.ask(stored.bars_from)
    due = [
        c
        for c in contracts
        if cursors.get(c, "") < _newest(stored.variety_of(c), settled, ended)
        or _begins_late(run, c, since)
    ]
    held, first = dict[str, Any](), run.first
    for contract in contracts:
        if contract not in due:
            yield Outcome(contract, skipped=NOT_DUE)
            continue
        if contract not in held:
            start = due.index(contract)
            first, held = _asked(run, due[start : start + TOGETHER], cursors, since)
        found = held[contract]
        if not isinstance(found, Outcome):
            variety = stored.variety_of(contract)
            known = cursors.get(contract, "")
            found = _bars(run, contract, found, settled[variety], ended[variety], known)
            if found.rows is not None and (contract not in since or first < since[contract]):
                harvest = {"contract": contract, "first_day": first, "source_route": "daily"}
                found = replace(found, beside=[harvest | run.lineage])
        yield found
        if found.gone is not None or not run.load.room():
            return


def _asked(
    run: Context,
    contracts: Sequence[str],
    cursors: Mapping[str, str],
    since: Mapping[str, date],
) -> tuple[date, dict[str, Any]]:
    """The first day asked for, and for each of some contracts the answer, or an outcome that tells what
    went wrong."""
    known = [date.fromisoformat(cursors[c]) - OVERLAP for c in contracts if c in cursors]
    late = any(c not in cursors or _begins_late(run, c, since) for c in contracts)
    first = min([run.first, *known]) if late else min(known)
    asked, found = list(contracts), dict[str, Any]()

    def ask(key: str) -> Outcome:
        try:
            return Outcome(key, run.harvest.daily(asked, first, run.today))
        except UnknownSymbol as error:  # the others are asked for without these
            for contract in error.symbols:
                asked.remove(contract)
                found[contract] = Outcome(contract, failure=f"{error}: not any more")
            return ask(key) if asked else Outcome(key)

    answer = outcome_of(contracts[0], ask)
    for contract in asked:
        if answer.rows is None:
            found[contract] = Outcome(contract, failure=answer.failure, gone=answer.gone)
        else:
            found[contract] = answer.rows.filter(pc.equal(answer.rows["contract"], contract))
    return first, found


def _newest(variety: str, *days: Mapping[str, date | None]) -> str:
    return max(str(of[variety] or "") for of in days)


def _bars(
    run: Context, contract: str, bars: Any, settled: date | None, ended: date | None, known: str
) -> Outcome:
    """`known`: up to which day the contract's bars are final, as text."""
    if not bars.num_rows:
        return Outcome(contract, skipped=NOT_DUE)  # listed, and not traded yet
    lineage = {"source_route": "daily", "fetched_at": run.load.clock()}
    final = pc.less_equal(bars["trade_date"], settled or date.min)
    rows = with_columns(bars, lineage).append_column("is_final", final)
    told = bars["trade_date"].to_pylist()
    days = [day for day in told if settled and day <= settled]
    # a source that stands still has no such bar, and fails with its main contracts
    final_to = max(known, str(settled or ""))
    over = [day for day in told if ended and final_to < str(day) <= str(ended)]
    why = (
        f"no quote of {stored.variety_of(contract)} from the end of {max(over)}: "
        f"its bars from {min(over)} on are not final"
        if over
        else None
    )
    return Outcome(contract, rows, cursor=max(days, default=None), failure=why)


DATASET = Dataset("contract_daily", CONTRACT_DAILY, "daily", fetch, tables, beside=DAILY_HARVEST)
