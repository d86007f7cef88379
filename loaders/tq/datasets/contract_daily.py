"""Dataset `contract_daily`: day bars of every contract that traded in the window.

Evidence, never ticks' substitute: they say which contract held most open interest, and how much of a
day its ticks must add up to. A bar is final once its day has settled (Context.settled). A bar of a day
that is over by the clock, and has not settled, is a failure: bars go on, and quotes do not.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.errors import DataQualityError, UpstreamError
from loaders.tq import stored
from loaders.tq.context import Context, Dataset, outcome_of, said, tables, with_columns
from loaders.tq.errors import TqAnswerError, TqClientError, TqTimeout, UnknownSymbol
from loaders.tq.stored import REPEATS, Since
from loaders.tq.tables import CONTRACT_DAILY, DAILY_HARVEST
from loaders.tq.trading_day import night_of

if TYPE_CHECKING:
    import psycopg

OVERLAP = timedelta(days=10)
TOGETHER = 10  # contracts in one question


def keys(run: Context, varieties: Sequence[str]) -> tuple[str, ...]:
    """Contracts of the window whose bars are not all final, or do not reach back to its first day."""
    cursors, since = run.load.cursors(CONTRACT_DAILY.name), run.ask(stored.bars_from)
    found = []
    for variety in varieties:
        for contract, expires in run.ask(lambda c, v=variety: stored.contracts(c, v, run.first)):  # type: ignore[misc]
            was, over = since.get(contract, Since(None)), _is_over(contract, expires, cursors)
            if was.is_due(run.first) or not (over or was.is_given_up(run.first)):
                found.append(contract)
    return tuple(found)


def _is_over(contract: str, expires: date | None, cursors: Mapping[str, str]) -> bool:
    """Has it expired, and are its bars final to its last day?"""
    return expires is not None and cursors.get(contract, "") >= str(expires)


def fetch(run: Context, contracts: Sequence[str]) -> Iterator[Outcome]:
    cursors = run.load.cursors(CONTRACT_DAILY.name)
    varieties = {stored.variety_of(c) for c in contracts}
    settled, ended = ({v: of(v) for v in varieties} for of in (run.settled, run.ended))
    since = run.ask(stored.bars_from)
    late = {c for c in contracts if since.get(c, Since(None)).is_due(run.first)}
    expires = dict(row for v in varieties for row in run.ask(_of_variety(v, run.first)))
    # those that are over are asked for apart: what goes wrong with them costs no other
    over = [c for c in contracts if c in late and _is_over(c, expires.get(c), cursors)]
    due = [
        c
        for c in contracts
        if c not in over
        and (c in late or cursors.get(c, "") < _newest(stored.variety_of(c), settled, ended))
    ]
    held = dict[str, tuple[date, Any]]()
    for contract in contracts:
        of = next((of for of in (due, over) if contract in of), None)
        if of is None:
            yield Outcome(contract, skipped=NOT_DUE)
            continue
        if contract not in held:
            start = of.index(contract)
            together = of[start : start + TOGETHER]
            first = _first(run, together, cursors, late)
            held |= {c: (first, told) for c, told in _asked(run, together, first).items()}
        first, found = held.pop(contract)
        variety = stored.variety_of(contract)
        if isinstance(found, UpstreamError):
            found = Outcome(contract, failure=said(found))
        elif not isinstance(found, Outcome):
            known = cursors.get(contract, "")
            found = _bars(run, contract, found, settled[variety], ended[variety], known)
            last = expires.get(contract)
            reached = found.cursor
            if last and isinstance(reached, date) and _is_past(last, settled[variety]):
                # an answer that ends much earlier may have been cut off, and is asked for again
                near = reached >= last - OVERLAP
                found = replace(found, cursor=max(reached, last) if near else reached)
            was = since.get(contract, Since(None))
            if found.rows is not None and (was.day is None or first < was.day or was.failed):
                found = replace(found, beside=[_harvest(run, contract, first)])
        if found.rows is None and found.gone is None:
            if contract in over:
                found = _in_vain(run, found, since.get(contract, Since(None)))
            elif found.failure and _has_expired(expires.get(contract), settled[variety]):
                found = _in_vain_at_its_end(run, found, since.get(contract, Since(None)))
        yield found
        if found.gone is not None or not run.load.room():
            return


def _of_variety(
    variety: str, first: date
) -> Callable[["psycopg.Connection"], list[tuple[str, date | None]]]:
    return lambda conn: stored.contracts(conn, variety, first)


def _in_vain(run: Context, failed: Outcome, was: Since) -> Outcome:
    """The outcome of a contract whose bars are all there as far as it was asked for, and which would only
    be asked for earlier ones: no failure, and after some nights not repeated."""
    times = _times(run, was)
    row = _harvest(run, failed.key, run.first, times)
    why = failed.failure or "no bar came"
    text = f"expired, and its bars from {run.first} on were not to be had once more ({why})"
    if times < REPEATS:
        text += ": the next load asks again"
    return Outcome(failed.key, skipped=text, beside=[row])


def _in_vain_at_its_end(run: Context, failed: Outcome, was: Since) -> Outcome:
    """The outcome of a contract that expired before its last bars were final, and of which none come: a
    failure of some nights, and of no other."""
    times = _times(run, was)
    why = f"{failed.failure}; it has expired: night {times} of {REPEATS} on which loads ask for it"
    return replace(failed, failure=why, beside=[_harvest(run, failed.key, run.first, times)])


def _times(run: Context, was: Since) -> int:
    """On how many nights loads have asked in vain, this one included."""
    if was.day != run.first or not was.failed or was.at is None:
        return 1
    same = night_of(was.at, run.days) == night_of(run.load.clock(), run.days)
    return was.failed + (not same)


def _is_past(expires: date, settled: date | None) -> bool:
    """Did it expire so long ago that no bar of it is missing still? Of a last day without a trade none comes."""
    return settled is not None and settled >= expires + OVERLAP


def _has_expired(expires: date | None, settled: date | None) -> bool:
    return expires is not None and settled is not None and expires < settled


def _harvest(run: Context, contract: str, first: date, failed: int | None = None) -> dict[str, Any]:
    row = {"contract": contract, "first_day": first, "failed": failed, "source_route": "daily"}
    return row | run.lineage


def _first(
    run: Context, contracts: Sequence[str], cursors: Mapping[str, str], late: Collection[str]
) -> date:
    """The first day to ask for of some contracts together."""
    known = [date.fromisoformat(cursors[c]) - OVERLAP for c in contracts if c in cursors]
    from_start = any(c not in cursors or c in late for c in contracts)
    return min([run.first, *known]) if from_start else min(known)


def _asked(run: Context, contracts: Sequence[str], first: date) -> dict[str, Any]:
    """Of each of some contracts the answer, or what went wrong: an error where it may be of this one alone,
    else an outcome."""
    try:
        bars = run.harvest.daily(contracts, first, run.today)
    except UnknownSymbol as error:  # the others are asked for without these
        why = f"{error}: not any more"
        found: dict[str, Any] = {c: Outcome(c, failure=why) for c in error.symbols}
        rest = [c for c in contracts if c not in found]
        return found | (_asked(run, rest, first) if rest else {})
    except (TqClientError, TqAnswerError, TqTimeout) as error:  # by one of them, perhaps
        return {contracts[0]: error} if len(contracts) == 1 else _apart(run, contracts, first)
    except (UpstreamError, DataQualityError) as error:
        return {contract: outcome_of(contract, _raising(error)) for contract in contracts}
    return {c: bars.filter(pc.equal(bars["contract"], c)) for c in contracts}


def _apart(run: Context, contracts: Sequence[str], first: date) -> dict[str, Any]:
    """The same one by one. Where two in a row time out it is the servers, and no other is asked for."""
    found: dict[str, Any] = {}
    for contract in contracts:
        told = list(found.values())[-2:]
        if len(told) == 2 and all(isinstance(error, TqTimeout) for error in told):
            found[contract] = told[-1]
        else:
            found |= _asked(run, [contract], first)
    return found


def _raising(error: Exception) -> Callable[[str], Outcome]:
    def work(_: str) -> Outcome:
        raise error

    return work


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
