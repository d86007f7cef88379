"""Dataset `sectors`: members of each sector with their dates.

A file of the desktop client holds the sectors at the time of its writing. That day, in Shanghai,
starts each membership that is new in the file and ends each that is no longer in it. So the members
of a past day are those of its time, as far back as files were read. A file is read again when it
has changed. If it is an older copy than the one read before, its content holds from the day of that
one on.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg

from loaders.engine.outcome import NOT_DUE, Outcome
from loaders.engine.source import Keys
from loaders.landing.rejects import open_rejects, withdraw_settled
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files import sectors
from loaders.tdx.files.folder import HQ_CACHE
from loaders.tdx.files.sectors import Membership, SectorFile
from loaders.tdx.files.written import Reading, State, state_in
from loaders.tdx.losses import Loss, judge_loss, refuse_loss
from loaders.tdx.tables import REJECTED_ROW, SECTOR_MEMBER
from loaders.trading_time import SHANGHAI
from quotemill.errors import DataQualityError
from quotemill.wording import say_count

NAME = "sectors"
KEYS = tuple(sectors.KINDS)
ADVICE = ". The file may be incomplete for now: run again, or download it again"
_FILE_OF = {kind: name for name, kinds in sectors.KINDS.items() for kind in kinds}


def fetch(ctx: Context, keys: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `keys`, which are file names."""
    cursors = ctx.load.cursors(SECTOR_MEMBER.name)
    for key in keys:
        name = f"T0002/hq_cache/{key}"
        path = ctx.folder.find(name) if ctx.folder else None
        if path is None:
            skipped = f"the client's folder has no {name}"
            if key == sectors.BLOCKS and ctx.folder and ctx.folder.find(f"{HQ_CACHE}/block_gn.dat"):
                skipped += ". block_*.dat from an older client is not read: update the client"
            yield ctx.miss_file(NAME, key, name, cursors.get(key), skipped=skipped)
            continue
        try:
            yield _outcome(ctx, key, path)
        except DataQualityError as error:
            yield Outcome(key, failure=error.with_hint)


def _outcome(ctx: Context, key: str, path: Path) -> Outcome:
    last = ctx.load.cursors(SECTOR_MEMBER.name).get(key)
    state = State.read_state(path)
    if state == state_in(last):
        return Outcome(key, skipped=NOT_DUE)
    reading = Reading.make(state, ctx.clock(), last)
    file = sectors.read_sectors(path, key)
    before = ctx.ask(lambda conn: read_current(conn, sectors.KINDS[key]))
    _report(ctx, key, file)
    if not file.memberships and not before:
        return Outcome(key, skipped=f"{key} has no sectors")
    stored = ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, NAME))
    rejected = file.rejected + withdraw_settled(
        stored, file.rejected, lambda row: sectors.owns_rejected(key, row.row_key)
    )
    refusal = None
    if file.incomplete and before.keys() - file.memberships:
        refusal = refuse_loss(ctx.load, NAME, f"{key}: {file.incomplete}", ADVICE)
    if refusal is None:
        losses = [_find_loss(key, kind, file.memberships, before) for kind in sectors.KINDS[key]]
        refusal = judge_loss(ctx.load, NAME, *losses, advice=ADVICE)
    if refusal:
        return Outcome(key, failure=refusal)
    rows = list(list_changes(file.memberships, before, reading.known_at))
    return Outcome(key, rows or None, rejected, reading.cursor)


def _report(ctx: Context, key: str, file: SectorFile) -> None:
    """Say which file is read, and what of it is not understood."""
    say, count = ctx.load.reporter.line, len({m.member for m in file.memberships})
    say(f"sectors: {', '.join(sectors.KINDS[key])} for {say_count(count, 'code')} from {key}")
    if file.unknown:
        say(f"sectors: {key}: {file.unknown}")
    if file.incomplete:
        ctx.load.warn(f"sectors: {key}: {file.incomplete}")


def _find_loss(
    key: str, kind: str, present: Iterable[Membership], before: Iterable[Membership]
) -> Loss:
    """What a file lacks of the members of sectors of a kind."""
    count, stored = (sum(it.sector_kind == kind for it in rows) for rows in (present, before))
    return Loss(key, stored - count, stored, f"members of kind {kind}")


def read_current(conn: psycopg.Connection, kinds: Sequence[str]) -> dict[Membership, date]:
    """Map each membership of some kinds that has not ended to its first day."""
    rows = conn.execute(
        "select sector_kind, sector_name, member, valid_from from raw_tdx.sector_member "
        "where valid_to is null and sector_kind = any(%s)",
        (list(kinds),),
    )
    return {Membership(*row[:3]): row[3] for row in rows}


def list_changes(
    memberships: Iterable[Membership], before: Mapping[Membership, date], known_at: datetime
) -> Iterator[dict[str, Any]]:
    """Yield records of memberships that start or end on the day of `known_at`."""
    day = known_at.astimezone(SHANGHAI).date()
    lineage = {"source_route": "T0002/hq_cache", "fetched_at": known_at, "is_final": True}
    present = set(memberships)
    spans: list[tuple[Membership, date, date | None]]
    spans = [(it, day, None) for it in sorted(present - before.keys())]
    spans += [(it, before[it], day) for it in sorted(before.keys() - present)]
    for membership, first, last in spans:
        yield membership._asdict() | {"valid_from": first, "valid_to": last} | lineage


DATASET = Dataset(
    NAME,
    SECTOR_MEMBER,
    "T0002/hq_cache",
    fetch,
    keys=Keys(row_key=lambda row: _FILE_OF[row["sector_kind"]]),
)
