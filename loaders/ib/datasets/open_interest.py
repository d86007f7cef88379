"""Dataset `open_interest`: positions at the end of a session, asked for on the next morning; beside them how
the attempt went. Keys are `AAPL 2026-11-19`.

The exchange publishes at about 06:30; what is shown before is still of the session before. A value lands under
the session that it is of by the time at which it was read. Where a whole chain is what it was (the rule is in
loaders.ib.capture.open_interest_date) it is of the older session still: nothing is confirmed, the attempt is `stale`, and after
the hour of publication it fails, and says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from loaders.engine.outcome import Outcome, records
from loaders.errors import UpstreamError
from loaders.ib.capture.batches import in_batches
from loaders.ib.capture.open_interest_date import frozen_since
from loaders.ib.capture.slot_capture import moment_of, symbol_of
from loaders.ib.client.gateway import OpenInterest, OptionContract
from loaders.ib.context import Context, Dataset
from loaders.ib.planning import stored
from loaders.ib.planning.day_tasks import asof_date
from loaders.ib.slots import date_in_new_york
from loaders.ib.tables import ENRICHMENT, OPEN_INTEREST

BATCH = 50  # contracts; half of the lines that an account has at least
MORNINGS = 3  # failed ones that are worth an alarm
FAILED, STALE = "oi_enrichment_failed", "oi_stale"
ROUTE = "open_interest"


def fetch(run: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    for key in keys:
        if run.load.cancelling():
            return
        yield _enriched(run, key, symbol_of(key), date.fromisoformat(moment_of(key)))


def _enriched(run: Context, key: str, symbol: str, day: date) -> Outcome:
    chain = run.chains(day, [symbol]).get(symbol)
    if chain is None:
        why = f"no contracts of {symbol} on {day}"
        is_asked = run.load.request.options["pass"] == "manual"
        return Outcome(key, failure=why) if is_asked else Outcome(key, skipped=why)
    today = run.agenda.today
    eligible = [c for c in chain.contracts if c.expiry >= today]
    answers = _asked(run, eligible)
    values = {a.contract.conid: a for a in answers if a.open_interest is not None}
    known = run.ask(lambda conn: stored.open_interest(conn, [c.conid for c in eligible]))
    by_clock = asof_date(run.now(), run.settings.open_interest_published_at)
    frozen = frozen_since(
        {conid: a.open_interest for conid, a in values.items() if a.open_interest is not None},
        known,
        by_clock,
        lambda since: run.ask(lambda conn: stored.traded(conn, symbol, since, by_clock)),
    )
    asof = frozen or by_clock
    rows, counts = _rows(run, symbol, day, asof, values, known, is_frozen=frozen is not None)
    have = {conid for conid, of in known.items() if day in of}
    have |= set(values) if asof == day else set()
    counts |= {
        "eligible": len(eligible),
        "expired": len(chain.contracts) - len(eligible),
        "failed": len(eligible) - len(values),
        "stale": len(set(values) - have),
    }
    lacking = len(eligible) - len(have & {c.conid for c in eligible})
    # of a contract without any open interest the exchange may tell nothing, every morning
    is_enough = lacking <= len(eligible) * (1 - run.settings.min_oi_share)
    # before it is published, what is missing is not failed but pending
    status = "complete" if is_enough else "stale" if asof < day and values else "failed"
    attempt = _attempt(run, symbol, day, counts, status)
    return Outcome(
        key,
        rows,
        cursor=day if status == "complete" else None,
        cursor_key=symbol,
        failure=_rung(run, symbol, _frozen(day, frozen, len(values)))
        if frozen and status == "stale" and by_clock >= day
        else _failure(run, symbol, day, by_clock, lacking, len(eligible), status, answers),
        beside=[attempt],
    )


def _asked(run: Context, contracts: Sequence[OptionContract]) -> list[OpenInterest]:
    size, answers = min(BATCH, run.lines), []
    for batch in in_batches(contracts, size):
        if run.gone is not None or run.load.cancelling():
            break
        run.oi_bucket.take()
        try:
            answers += run.gateway.open_interest(batch, lines=run.lines)
        except UpstreamError as error:
            run.gone = error
    return answers


def _rows(
    run: Context,
    symbol: str,
    day: date,
    asof: date,
    values: Mapping[int, OpenInterest],
    known: Mapping[int, Mapping[date, int]],
    *,
    is_frozen: bool,
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Rows of an as-of day, and how many are filled, the same and changed. Where old values are shown the
    few that changed are of no known day: they do not land."""
    rows, counts = [], {"filled": 0, "same": 0, "changed": 0}
    for conid, answer in values.items():
        old = known.get(conid, {}).get(asof)
        counts[
            "filled" if old is None else "same" if old == answer.open_interest else "changed"
        ] += 1
        if old == answer.open_interest or (is_frozen and old is not None):
            continue
        rows.append(
            {
                "conid": conid,
                "oi_asof_date": asof,
                "symbol": symbol,
                "trade_date": day,
                "open_interest": answer.open_interest,
                "captured_at": answer.captured_at,
                "ingest_id": run.ingest_id,
                "source_route": ROUTE,
            }
            | run.lineage
        )
    return rows, counts


def _attempt(
    run: Context, symbol: str, day: date, counts: Mapping[str, int], status: str
) -> dict[str, Any]:
    return {
        "trade_date": day,
        "symbol": symbol,
        "attempted_at": run.now(),
        "pass": run.load.request.options["pass"],
        **counts,
        "status": status,
        "source_route": ROUTE,
    } | run.lineage


def _frozen(day: date, since: date, count: int) -> str:
    return (
        f"{STALE}: the open interest of {count:,} contracts is still that of {since}, so that of {day} "
        "is not confirmed"
    )


def _failure(
    run: Context,
    symbol: str,
    day: date,
    by_clock: date,
    lacking: int,
    eligible: int,
    status: str,
    answers: Sequence[OpenInterest],
) -> str | None:
    if status == "complete":
        if lacking:
            said = f"{symbol} {day}: {lacking:,} of {eligible:,} contracts have no open interest"
            run.load.log("info", said, {})
        return None
    if status == "stale":
        run.load.log("info", f"{symbol} {day}: the open interest is not published yet", {})
        return None
    first = next((a.failure.error_message for a in answers if a.failure), "no value came")
    why = str(run.gone) if run.gone else first
    if by_clock > day and not run.gone:
        why = f"that of {by_clock} is shown now, that of an earlier session cannot be had any more"
    text = f"{lacking:,} of {eligible:,} contracts have no open interest of {day}: {why}"
    return _rung(run, symbol, text)


def _rung(run: Context, symbol: str, text: str) -> str:
    """What failed, louder after some mornings in a row."""
    return f"{FAILED}: {text}" if _mornings(run, symbol) >= MORNINGS - 1 else text


def _mornings(run: Context, symbol: str) -> int:
    """How many mornings before this one failed, the newest in a row."""
    today, since = run.agenda.today, run.agenda.today - timedelta(days=14)
    tried = run.ask(lambda conn: stored.enrichments(conn, [symbol], since))
    by_morning: dict[date, set[str]] = {}
    for _, _, at, status, which in tried:
        # old values confirm nothing; before they can be new they fail nobody
        is_vain = status == "stale" and which in ("confirm", "late")
        by_morning.setdefault(date_in_new_york(at), set()).add("failed" if is_vain else status)
    mornings = [by_morning[m] for m in sorted(by_morning, reverse=True) if m < today]
    failed = 0
    for statuses in mornings:
        if "complete" in statuses or "failed" not in statuses:
            break
        failed += 1
    return failed


DATASET = Dataset(
    "open_interest",
    OPEN_INTEREST,
    ROUTE,
    fetch,
    records,
    key_of=lambda row: str(row["symbol"]),
    beside=ENRICHMENT,
)
