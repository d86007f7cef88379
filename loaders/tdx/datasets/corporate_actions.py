"""Dataset `corporate_actions`: present and withdrawn events of CSV files or quote servers.

Those of the desktop client's gbbq land as `capital_events`, with all its records.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from loaders.engine import failed_keys
from loaders.engine.outcome import Outcome, Stopped
from loaders.landing.rejects import Rejected, open_rejects, withdraw_settled
from loaders.tdx.actions import ActionSet, CorporateAction
from loaders.tdx.context import Context, Dataset
from loaders.tdx.files.actions_csv import read_actions
from loaders.tdx.losses import judge_loss
from loaders.tdx.settings import NO_EVENTS_FIX
from loaders.tdx.tables import CORPORATE_ACTION, REJECTED_ROW
from loaders.warehouse.tables import STANDARD_FIELDS
from quotemill.errors import LockHeldError, UpstreamError

NO_SOURCE = (
    "no source of corporate actions is configured, so adjusted prices equal raw ones: "
    + NO_EVENTS_FIX
)
# The key of a refused row that is not from a CSV file. It starts with the source, or ends with the
# source and a number if no table can hold the row.
NOT_OF_CSV = re.compile(r"^(gbbq|xdxr) | (gbbq|xdxr) [0-9]+$")
AS_RECORDS = "the events of gbbq are loaded as capital_events"
NAME = "corporate_actions"
_FIELDS = [field.name for field in fields(CorporateAction)]
_OWN = [
    name for name in CORPORATE_ACTION.schema.names if name not in {f.name for f in STANDARD_FIELDS}
]


def fetch(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Yield outcomes in the order of `codes`. Raises SettingsError."""
    source = ctx.settings.actions_source
    if source is None:
        yield from _skip(ctx, codes)
    elif source == "gbbq":  # a retry of a load that had another source
        yield from (Outcome(code, skipped=AS_RECORDS) for code in codes)
    elif source == "xdxr":
        yield from _ask_servers(ctx, codes)
    else:
        yield from _read_files(ctx, source, codes)


def _skip(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Skip codes without a source; what failed at one is not repaired by a retry without it."""
    failed = ctx.ask(failed_keys.read_failures) if ctx.load.retried is not None else ()
    before = {failure.key for failure in failed if failure.dataset == NAME}
    for code in codes:
        yield (
            Outcome(code, failure=NO_SOURCE) if code in before else Outcome(code, skipped=NO_SOURCE)
        )


def _ask_servers(ctx: Context, codes: Sequence[str]) -> Iterator[Outcome]:
    """Ask the quote servers for each code, in a thread as their client blocks."""
    from loaders.tdx.client.xdxr import build_actions

    servers = ctx.quote_servers
    stored = ctx.ask(lambda conn: Stored.read_stored(conn, codes, "xdxr"))
    try:
        for code in codes:
            if not ctx.room():
                return
            try:
                answer = ctx.wait(asyncio.to_thread(servers.ask, code))
            except UpstreamError as error:  # where they are gone, the TDX service itself is not
                yield Outcome(code, failure=str(error))
                continue
            yield stored.outcome(ctx, code, build_actions(code, answer))
    except (Stopped, LockHeldError, KeyboardInterrupt):
        servers.stop()
        raise
    finally:
        servers.close()


def _read_files(ctx: Context, source: Path, codes: Sequence[str]) -> Iterator[Outcome]:
    """Read the files once in a load; refused rows come with the first outcome."""
    is_first, refused = ctx.actions is None, list[Rejected]()
    if ctx.actions is None:
        ctx.actions = read_actions(
            source, sorted({*ctx.securities, *(ctx.load.request.keys or ())})
        )
        refused = ctx.actions.rejected
        for row in refused:
            ctx.load.warn(f"{row.row_key}: {row.field}: {row.rule} (found {row.value!r})")
        for column in ctx.actions.unknown_columns:
            ctx.load.warn(f"column not read: {column}")
    by_code: dict[str, list[CorporateAction]] = {}
    for action in ctx.actions.rows:
        by_code.setdefault(action.code, []).append(action)
    stored = ctx.ask(lambda conn: Stored.read_stored(conn, codes, "csv"))
    for code in codes:
        own_actions = ActionSet(by_code.get(code, []), refused, ctx.actions.covers)
        yield stored.outcome(ctx, code, own_actions, all_refusals=is_first)
        refused, is_first = [], False


@dataclass(frozen=True)
class Stored:
    """Stored events and refused rows of a source, of some codes.

    source: csv or xdxr.
    events: those not withdrawn, by code.
    refusals: open refused rows of the source, of all codes.
    """

    source: str
    events: Mapping[str, Sequence[dict[str, Any]]]
    refusals: Sequence[Rejected]

    @classmethod
    def read_stored(cls, conn: psycopg.Connection, codes: Sequence[str], source: str) -> Self:
        events: dict[str, list[dict[str, Any]]] = {}
        with conn.cursor(row_factory=dict_row) as cur:
            cur.execute(
                "select * from raw_tdx.corporate_action "
                "where source = %s and not is_withdrawn and code = any(%s)",
                (source, list(codes)),
            )
            for row in cur:
                events.setdefault(row["code"], []).append(row)
        refusals = [row for row in open_rejects(conn, REJECTED_ROW, NAME) if _origin(row) == source]
        return cls(source, events, refusals)

    def outcome(
        self,
        ctx: Context,
        code: str,
        actions: ActionSet,
        *,
        all_refusals: bool = False,
    ) -> Outcome:
        """Build a code's outcome with withdrawn events and settled refusals."""
        route = str(ctx.settings.actions_source)
        lineage = {"source_route": route, "fetched_at": ctx.clock(), "is_final": True}
        rows = [
            {name: getattr(row, name) for name in _FIELDS} | {"is_withdrawn": False}
            for row in actions.rows
        ]
        rows += self._withdrawn(code, actions)
        own = f"{self.source} {code} ", f"{code} "

        def is_own(row: Rejected) -> bool:
            return row.row_key.startswith(own) or (
                all_refusals and not re.search(r" csv \d+$", row.row_key)
            )

        rejected = [*actions.rejected, *withdraw_settled(self.refusals, actions.rejected, is_own)]
        rejected = [replace(row, source_route=route) for row in rejected]
        stored = len(self.events.get(code, ())) if code in actions.covers else 0
        refusal = judge_loss(
            ctx.load,
            NAME,
            f"{self.source} of {code}",
            lost=stored - len(actions.rows),
            stored=stored,
            things="stored events",
        )
        if refusal:
            return Outcome(code, rejected=rejected, failure=refusal)
        return Outcome(
            code,
            [row | lineage for row in rows] or None,
            rejected,
            ctx.today,
            cursor_key=self.source,
        )

    def _withdrawn(self, code: str, actions: ActionSet) -> list[dict[str, Any]]:
        """Mark stored events as withdrawn that the source no longer has.

        These are all events of a covered code, and events of a day that the source still has.
        """
        present = {(row.ex_date, row.seq) for row in actions.rows}
        days = {day for day, _ in present}
        return [
            {name: row[name] for name in _OWN} | {"is_withdrawn": True}
            for row in self.events.get(code, ())
            if (row["ex_date"], row["seq"]) not in present
            and (code in actions.covers or row["ex_date"] in days)
        ]


def _origin(row: Rejected) -> str:
    match = NOT_OF_CSV.search(row.row_key)
    return (match[1] or match[2]) if match else "csv"


DATASET = Dataset(NAME, CORPORATE_ACTION, "corporate actions", fetch)
