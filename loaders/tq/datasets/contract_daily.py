"""Dataset `contract_daily`: day bars of every contract that traded in the window.

Evidence, never a substitute for ticks: they say which contract held most open interest, and how
much of a day its ticks must add up to. A bar is final once its day has settled
(Context.last_settled_day). A bar of a day that is over by the clock, and has not settled, is a
failure: bars go on, and quotes do not.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pyarrow.compute as pc

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.tq import landed
from loaders.tq.context import Context, Dataset, add_columns, concat_rows, describe, load_key
from loaders.tq.errors import (
    TqAnswerError,
    TqClientError,
    TqTimeout,
    UndescribedSymbol,
    UnknownSymbol,
)
from loaders.tq.landed import REPEATS, BarsHarvest, is_due
from loaders.tq.tables import CONTRACT_DAILY, DAILY_HARVEST
from loaders.tq.trading_day import night_of
from quotemill.errors import DataQualityError, UpstreamError

OVERLAP = timedelta(days=10)
TOGETHER = 10  # contracts in one question


def list_keys(ctx: Context, varieties: Sequence[str]) -> tuple[str, ...]:
    """Contracts of the window whose bars are not all final, or start too late."""
    cursors, harvests = ctx.load.cursors(CONTRACT_DAILY.name), ctx.ask(landed.bars_harvests)
    keys = []
    for contract, expires in _read_contracts(ctx, varieties).items():
        harvest = harvests.get(contract)
        is_over = _has_all_bars(contract, expires, cursors) or (harvest and harvest.is_given_up)
        if is_due(harvest, ctx.first_day) or not is_over:
            keys.append(contract)
    return tuple(keys)


@dataclass
class Batch:
    """Facts for the outcomes of some contracts, by variety or contract.

    `over`: those that expired with all bars, and are asked for earlier ones only: apart, so that a
    failure costs no other. `due`: the others that are asked for. `late`: those of either that are
    asked for from the window's start. `unsettled`: the outcome of varieties for which the source
    gives no quote or no list: a failure of their contracts, and of no other.
    """

    cursors: Mapping[str, str]
    harvests: Mapping[str, BarsHarvest]
    varieties: Mapping[str, str]
    expires: Mapping[str, date | None]
    settled: Mapping[str, date | None]
    ended: Mapping[str, date | None]
    late: Collection[str]
    over: Sequence[str]
    due: Sequence[str]
    unsettled: Mapping[str, Outcome]


def fetch(ctx: Context, contracts: Sequence[str]) -> Iterator[Outcome]:
    batch = _read_batch(ctx, contracts)
    answers = dict[str, tuple[date, Any]]()
    for contract in contracts:
        if failed := batch.unsettled.get(batch.varieties[contract]):
            yield replace(failed, key=contract)
            if failed.gone is not None:
                return
            continue
        group = next((group for group in (batch.due, batch.over) if contract in group), None)
        if group is None:
            yield Outcome(contract, skipped=NOT_DUE)
            continue
        if contract not in answers:
            start = group.index(contract)
            together = group[start : start + TOGETHER]
            first = _first_day(ctx, together, batch)
            asked = _ask(ctx, together, first)
            answers |= {name: (first, answer) for name, answer in asked.items()}
        outcome = _outcome(ctx, contract, batch, *answers.pop(contract))
        yield outcome
        if outcome.gone is not None or not ctx.load.room():
            return


def _read_batch(ctx: Context, contracts: Sequence[str]) -> Batch:
    cursors, harvests = ctx.load.cursors(CONTRACT_DAILY.name), ctx.ask(landed.bars_harvests)
    varieties = ctx.ask(lambda conn: landed.varieties(conn, contracts))
    names = sorted({*varieties.values()})
    settled, ended = dict[str, date | None](), dict[str, date | None]()

    def settle(variety: str) -> Outcome:
        settled[variety] = ctx.last_settled_day(variety)
        ended[variety] = ctx.last_ended_day(variety)
        return Outcome(variety)

    outcomes = {variety: load_key(variety, settle) for variety in names}
    unsettled = {v: outcome for v, outcome in outcomes.items() if outcome.failure}
    contracts = [c for c in contracts if varieties[c] not in unsettled]
    expires = _read_contracts(ctx, names)
    late = {c for c in contracts if is_due(harvests.get(c), ctx.first_day)}
    over = [c for c in contracts if c in late and _has_all_bars(c, expires.get(c), cursors)]

    def newest(contract: str) -> str:
        variety = varieties[contract]
        return max(str(days[variety] or "") for days in (settled, ended))

    due = [c for c in contracts if c not in over and (c in late or cursors.get(c, "") < newest(c))]
    return Batch(cursors, harvests, varieties, expires, settled, ended, late, over, due, unsettled)


def _read_contracts(ctx: Context, varieties: Sequence[str]) -> dict[str, date | None]:
    """The last trading day of each contract of the window."""
    return {
        contract: expires
        for variety in varieties
        for contract, expires in ctx.ask(
            lambda conn, v=variety: landed.contracts(conn, v, ctx.first_day)  # type: ignore[misc]
        )
    }


def _has_all_bars(contract: str, expires: date | None, cursors: Mapping[str, str]) -> bool:
    """Whether it expired, and its bars are final to its last day."""
    return expires is not None and cursors.get(contract, "") >= str(expires)


def _first_day(ctx: Context, contracts: Sequence[str], batch: Batch) -> date:
    """The first day to ask for of some contracts together."""
    cursors = batch.cursors
    days = [date.fromisoformat(cursors[c]) - OVERLAP for c in contracts if c in cursors]
    from_start = any(c not in cursors or c in batch.late for c in contracts)
    return min([ctx.first_day, *days]) if from_start else min(days)


def _ask(ctx: Context, contracts: Sequence[str], first: date) -> dict[str, Any]:
    """For each contract its bars, an error of this contract alone, or an outcome."""
    try:
        bars = ctx.harvest.daily(contracts, first, ctx.today)
    except UnknownSymbol as error:  # the others are asked for without these
        failure = (
            str(error) if isinstance(error, UndescribedSymbol) else f"{error}: no longer listed"
        )
        answers: dict[str, Any] = {c: Outcome(c, failure=failure) for c in error.symbols}
        rest = [c for c in contracts if c not in answers]
        return answers | (_ask(ctx, rest, first) if rest else {})
    except (TqClientError, TqAnswerError, TqTimeout) as error:  # by one of them, perhaps
        return {contracts[0]: error} if len(contracts) == 1 else _ask_apart(ctx, contracts, first)
    except (UpstreamError, DataQualityError) as error:

        def fail(_: str, error: Exception = error) -> Outcome:
            raise error

        return {contract: load_key(contract, fail) for contract in contracts}
    return {c: bars.filter(pc.equal(bars["contract"], c)) for c in contracts}


def _ask_apart(ctx: Context, contracts: Sequence[str], first: date) -> dict[str, Any]:
    """The answers one by one, up to two time-outs in a row: then it is the servers."""
    answers: dict[str, Any] = {}
    for contract in contracts:
        last = list(answers.values())[-2:]
        if len(last) == 2 and all(isinstance(error, TqTimeout) for error in last):
            answers[contract] = last[-1]
        else:
            answers |= _ask(ctx, [contract], first)
    return answers


def _outcome(ctx: Context, contract: str, batch: Batch, first: date, answer: Any) -> Outcome:
    """The outcome of a contract that was asked for from `first` on."""
    harvest, expires = batch.harvests.get(contract), batch.expires.get(contract)
    settled = batch.settled[batch.varieties[contract]]
    if isinstance(answer, UpstreamError):
        outcome = Outcome(contract, failure=describe(answer))
    elif isinstance(answer, Outcome):
        outcome = answer
    else:
        outcome = _land_bars(ctx, contract, batch, answer)
        reached = outcome.cursor
        if expires and isinstance(reached, date) and _is_long_past(expires, settled):
            # an answer that ends much earlier may have been cut off, and is asked for again
            is_near = reached >= expires - OVERLAP
            outcome = replace(outcome, cursor=max(reached, expires) if is_near else reached)
        if outcome.rows is not None and (not harvest or first < harvest.day or harvest.failed):
            outcome = replace(outcome, beside=[_harvest_row(ctx, contract, first)])
    if outcome.rows is None and outcome.gone is None:
        if contract in batch.over:
            return _skip_failure(ctx, outcome, harvest)
        if outcome.failure and expires and settled and expires < settled:
            return _count_failure(ctx, outcome, harvest)
    return outcome


def _land_bars(ctx: Context, contract: str, batch: Batch, bars: Any) -> Outcome:
    if not bars.num_rows:
        return Outcome(contract, skipped=NOT_DUE)  # listed, and not traded yet
    variety = batch.varieties[contract]
    settled, ended = batch.settled[variety], batch.ended[variety]
    lineage = {"source_route": "daily", "fetched_at": ctx.load.clock()}
    final = pc.less_equal(bars["trade_date"], settled or date.min)
    rows = add_columns(bars, lineage).append_column("is_final", final)
    days = bars["trade_date"].to_pylist()
    settled_days = [day for day in days if settled and day <= settled]
    # a source that stands still has no such bar, and fails with its main contracts
    final_to = max(batch.cursors.get(contract, ""), str(settled or ""))
    unsettled = [day for day in days if ended and final_to < str(day) <= str(ended)]
    failure = (
        (
            f"no quote of {variety} from the end of {max(unsettled)}: bars from "
            f"{min(unsettled)} on are not final"
        )
        if unsettled
        else None
    )
    return Outcome(contract, rows, cursor=max(settled_days, default=None), failure=failure)


def _skip_failure(ctx: Context, outcome: Outcome, harvest: BarsHarvest | None) -> Outcome:
    """The outcome of an expired contract that was asked for earlier bars only.

    No failure, and not repeated after some nights.
    """
    times = _count_nights(ctx, harvest)
    row = _harvest_row(ctx, outcome.key, ctx.first_day, times)
    why = outcome.failure or "no bars received"
    text = f"expired, and bars from {ctx.first_day} on are no longer available ({why})"
    if times < REPEATS:
        text += ". The next load will retry"
    return Outcome(outcome.key, skipped=text, beside=[row])


def _count_failure(ctx: Context, outcome: Outcome, harvest: BarsHarvest | None) -> Outcome:
    """The outcome of a contract that expired with bars missing, and gives none.

    A failure for some nights, and then not repeated.
    """
    times = _count_nights(ctx, harvest)
    why = f"{outcome.failure}. It has expired: night {times} of {REPEATS} on which loads retry"
    row = _harvest_row(ctx, outcome.key, ctx.first_day, times)
    return replace(outcome, failure=why, beside=[row])


def _count_nights(ctx: Context, harvest: BarsHarvest | None) -> int:
    """Nights on which loads asked in vain, this one included."""
    if harvest is None or harvest.day != ctx.first_day or not harvest.failed:
        return 1
    is_same = night_of(harvest.at, ctx.days) == night_of(ctx.load.clock(), ctx.days)
    return harvest.failed + (not is_same)


def _is_long_past(expires: date, settled: date | None) -> bool:
    """Whether no bar can come any more; a last day without a trade has none."""
    return settled is not None and settled >= expires + OVERLAP


def _harvest_row(
    ctx: Context, contract: str, first: date, failed: int | None = None
) -> dict[str, Any]:
    row = {"contract": contract, "first_day": first, "failed": failed, "source_route": "daily"}
    return row | ctx.lineage


DATASET = Dataset(
    "contract_daily", CONTRACT_DAILY, "daily", fetch, concat_rows, beside=DAILY_HARVEST
)
