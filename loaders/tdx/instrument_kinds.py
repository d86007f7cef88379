"""Kinds of instruments, by the rules of codes alone.

The lists of the desktop client do not say what an instrument is.
"""

# exchange and first digits of the modelled codes; bonds, repurchases, warrants, open-ended funds
# and the vendor's own indices are not modelled
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
