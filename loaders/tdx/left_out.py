"""What of the desktop client's folder is not loaded: other kinds, and codes without a trade."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import orjson
import psycopg
from psycopg import sql

from loaders.landing.rejects import Rejected, open_rejects, withdraw_settled
from loaders.tdx.context import Context
from loaders.tdx.tables import KLINE_DAILY, REJECTED_ROW
from loaders.warehouse.distribution import relate_codes
from quotemill.instrument_ranges import describe_other_kinds, find_range
from quotemill.wording import say_count

DATASET = "codes"
LOGGED = 500


@dataclass
class LeftOut:
    """Codes of the folder that are not loaded, and their names in its lists."""

    ctx: Context
    names: dict[str, str] = field(default_factory=dict)
    untraded: set[str] = field(default_factory=set)
    _known: dict[str, list[str]] = field(default_factory=dict)
    _unknown: dict[str, list[str]] = field(default_factory=dict)

    def add_kind(self, place: str, code: str) -> None:
        """Add a code of no modelled kind, named in a list or by a file."""
        places = self._known if find_range(code) else self._unknown
        places.setdefault(place, []).append(code)

    def say(self) -> None:
        """Say how many of each kind are left out; of what is odd two examples, in the log too."""
        for place, codes in self._known.items():
            said = describe_other_kinds(codes, f"of the instruments of {place}")
            self.ctx.load.reporter.line(f"codes: {said}")
        for place, codes in self._unknown.items():
            self._say_odd(
                codes,
                (f"instrument of {place} is", f"instruments of {place} are"),
                "in no known code range",
                "skipped (if they trade, add a line to seeds/instrument_ranges.csv)",
            )
        if self.untraded:
            whose = "without a traded share in the whole day-bar file"
            self._say_odd(sorted(self.untraded), ("code", "codes"), whose, "not loaded")

    def list_untraded(self) -> list[Rejected]:
        """A rejected row for each code without a traded share that was not known before."""
        rule = "traded instruments must have a traded share in their day-bar file"
        stored = self.ctx.ask(lambda conn: open_rejects(conn, REJECTED_ROW, DATASET))
        rejected = [
            Rejected(
                code, "volume", rule, "0", orjson.dumps({"code": code}).decode(), "vipdoc/lday"
            )
            for code in sorted(self.untraded)
        ]
        known_codes = {row.row_key for row in stored}
        settled = withdraw_settled(stored, rejected, lambda _: True)
        return [*(row for row in rejected if row.row_key not in known_codes), *settled]

    def _say_odd(self, codes: Sequence[str], nouns: tuple[str, str], what: str, done: str) -> None:
        named = (f"{code} {self.names.get(code, '')}".strip() for code in codes[:2])
        subject = f"{say_count(len(codes), *nouns)} {what}"
        text = f"codes: {subject}, such as {' and '.join(named)}: {done}"
        self.ctx.load.reporter.line(text)
        self.ctx.load.log("info", text, {"codes": codes[:LOGGED]})


def find_traded(conn: psycopg.Connection, codes: Collection[str]) -> set[str]:
    """Those of the codes of which a stored day bar has a traded share."""
    query = sql.SQL(
        "select c.code from {} where exists"
        " (select 1 from raw_tdx.kline_daily as t where t.code = c.code and t.volume <> 0)"
    ).format(sql.SQL(relate_codes(conn, KLINE_DAILY.qualified, "%s")))
    return {code for (code,) in conn.execute(query, (list(codes),))}
