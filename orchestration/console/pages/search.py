"""Securities and sectors by code, name, or the initials of the name's pinyin: PFYH."""

import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from pypinyin import Style, lazy_pinyin

from orchestration.console.context import Console
from quotemill.readers import securities
from quotemill.readers.securities import Named

MOST = 20  # securities, and as many sectors
KINDS = ("stock", "fund", "index")


def search_names(conn: psycopg.Connection, market: str, text: str) -> Mapping[str, Any]:
    """The securities and sectors that a text means, the likeliest first."""
    return {
        "text": text,
        "found": rank_names(text, securities.list_securities(conn, market)),
        "sectors": rank_names(text, securities.list_sectors(conn, market)),
    }


def gather_found(console: Console, text: str) -> Mapping[str, Any]:
    """What is shown while a text is typed."""
    market = console.require_warehouse().market_schema
    return console.read(lambda conn: search_names(conn, market, text))


def rank_names(text: str, names: Sequence[Named]) -> list[Named]:
    """The names that a text means; codes before initials, beginnings before what is inside."""
    sought = fold(text)
    if not sought:
        return []
    ranked = []
    for named in names:
        rank = _rank(sought, named)
        if rank is not None:
            kind = KINDS.index(named.kind) if named.kind in KINDS else 0
            ranked.append(((rank, not named.is_current, kind, named.key), named))
    return [named for _, named in sorted(ranked, key=lambda pair: pair[0])[:MOST]]


def _rank(sought: str, named: Named) -> int | None:
    initials, name = spell_initials(named.name), fold(named.name)
    code = named.key if named.kind in KINDS else ""
    tests = (
        sought in (code, code[2:]),
        code.startswith(sought) or code[2:].startswith(sought),
        sought in (initials, name),
        initials.startswith(sought) or name.startswith(sought),
        sought in name,
        sought in initials,
    )
    return tests.index(True) if True in tests else None


def fold(text: str) -> str:
    """A text without spaces, case and wide letters: `万  科Ａ` is `万科a`."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


@lru_cache(maxsize=2**16)
def spell_initials(name: str) -> str:
    """The initials of a name's pinyin, and its other letters as they stand: `万科a` is `wka`."""
    return "".join(lazy_pinyin(fold(name), style=Style.FIRST_LETTER))
