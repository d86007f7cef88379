"""Codes as people and other tools write them, read as `sh600000` or `BRK B`."""

import re
from collections.abc import Iterable

from quotemill.errors import UsageError
from quotemill.instrument_ranges import (
    EXCHANGES,
    OTHER_NAMES,
    classify_code,
    explain_kind,
    find_range,
)

_EXCHANGES = {
    **dict.fromkeys(("sh", "shse", "sse", "ss", "xshg"), "sh"),
    **dict.fromkeys(("sz", "szse", "xshe"), "sz"),
    **dict.fromkeys(("bj", "bjse", "bse"), "bj"),
}
_NAMES = "|".join(sorted(_EXCHANGES, key=len, reverse=True))
# classes with a letter of their own that may be written as one word: no other stock has it
_LETTERS = {
    **dict.fromkeys(("AKO", "BF", "BRK", "CRD", "GEF", "HEI", "LEN", "MOG"), "AB"),
    **{"BIO": "B", "MKC": "V", "PBR": "A", "UHAL": "B", "WSO": "B"},
}
_SHARE_CLASSES = {
    stock + letter: f"{stock} {letter}" for stock, letters in _LETTERS.items() for letter in letters
}
_FORM = re.compile(rf"(?:({_NAMES})[._]?)?([0-9]{{6}})(?:[._]?({_NAMES}))?")


def read_exchange(name: str | None) -> str | None:
    """An exchange by one of its names: `SH`, `SSE` and `XSHG` are `sh`; another as it is."""
    return _EXCHANGES.get(str(name).lower(), name)


def read_us_symbol(text: str) -> str:
    """A US symbol as tables have it: `BRK.B`, `BRK_B`, `BRK-B` and `BRKB` are `BRK B`."""
    symbol = re.sub(r"[ ._/-]+(?=[A-Za-z]$)", " ", text.strip())
    return _SHARE_CLASSES.get(symbol, symbol)


def read_code(text: str) -> str:
    """Read `sh600000`, `SHSE.600000`, `600000.SH` or `600000`. Raises UsageError.

    Six digits alone must belong to one exchange: 000001 is a stock in Shenzhen, an index in
    Shanghai. 999999 is the vendor's name of that index.
    """
    match = _FORM.fullmatch(text.strip().lower())
    named = {_EXCHANGES[name] for name in (match[1], match[3]) if name} if match else set()
    if match is None or len(named) > 1:
        raise UsageError(f"not a code like sh600000: {text}")
    digits = match[2]
    possible = [*named] or [e for e in EXCHANGES if classify_code(e + digits)]
    if not possible:
        known = [r for e in EXCHANGES if (r := find_range(e + digits))]
        exchange = min(known, key=lambda r: r.size).exchange if known else "sh"
        raise UsageError(f"not a code like sh600000: {text} is {explain_kind(exchange + digits)}")
    if len(possible) > 1:
        names = " or ".join(exchange + digits for exchange in possible)
        raise UsageError(f"{text} is ambiguous: {names}", hint=f"Add the exchange: {names}.")
    code = possible[0] + digits
    return OTHER_NAMES.get(code, code)


def read_codes(texts: Iterable[str]) -> tuple[str, ...]:
    """Read codes, each once, in their order. Raises UsageError."""
    return tuple(dict.fromkeys(map(read_code, texts)))
