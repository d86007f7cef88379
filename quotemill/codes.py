"""Codes as people and other tools write them, read as `sh600000`, and what kind each is."""

import re
from collections.abc import Iterable

from quotemill.errors import UsageError

_EXCHANGES = {
    **dict.fromkeys(("sh", "shse", "sse", "ss", "xshg"), "sh"),
    **dict.fromkeys(("sz", "szse", "xshe"), "sz"),
    **dict.fromkeys(("bj", "bjse", "bse"), "bj"),
}
_NAMES = "|".join(sorted(_EXCHANGES, key=len, reverse=True))
_FORM = re.compile(rf"(?:({_NAMES})[._]?)?([0-9]{{6}})(?:[._]?({_NAMES}))?")
# The lists of the desktop client do not say what an instrument is, so its code does: exchange and
# first digits of those that are modelled. Bonds, repurchases, warrants, open-ended funds and the
# vendor's own indices are not.
_PREFIXES = {
    # sh900, sz200, sz201: B shares
    "stock": "sh60 sh68 sh900 sz00 sz30 sz200 sz201 bj43 bj83 bj87 bj88 bj92",
    "fund": "sh50 sh51 sh52 sh53 sh56 sh58 sz15 sz16 sz18",
    "index": "sh000 sz399 bj899",
}
_KINDS = {prefix: kind for kind, prefixes in _PREFIXES.items() for prefix in prefixes.split()}


def classify_code(code: str) -> str | None:
    """Kind of a code (`sh600000`): stock, fund or index; None if not modelled."""
    return _KINDS.get(code[:4]) or _KINDS.get(code[:5])


def read_code(text: str) -> str:
    """Read `sh600000`, `SHSE.600000`, `600000.SH` or `600000`. Raises UsageError.

    Six digits alone must belong to one exchange: 000001 is a stock in Shenzhen, an index in
    Shanghai.
    """
    match = _FORM.fullmatch(text.strip().lower())
    named = {_EXCHANGES[name] for name in (match[1], match[3]) if name} if match else set()
    if match is None or len(named) > 1:
        raise UsageError(f"not a code like sh600000: {text}")
    digits = match[2]
    possible = [*named] or [e for e in ("sh", "sz", "bj") if classify_code(e + digits)]
    if not possible:
        raise UsageError(f"not a code like sh600000: {text}; no exchange has such a number")
    if len(possible) > 1:
        raise UsageError(
            f"{text} is ambiguous: {' or '.join(e + digits for e in possible)}",
            hint=f"name the exchange: {possible[-1]}{digits}",
        )
    return possible[0] + digits


def read_codes(texts: Iterable[str]) -> tuple[str, ...]:
    """Read codes, each once, in their order. Raises UsageError."""
    return tuple(dict.fromkeys(map(read_code, texts)))
