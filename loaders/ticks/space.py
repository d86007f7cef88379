"""Free space under a store: no day of ticks is begun on a disk that is nearly full. A full one kills
QuestDB's process, and leaves PostgreSQL recovering until there is room again."""

from loaders.ticks.store import StoreError


def little_space(label: str, free: int | None, min_free_gb: float) -> str | None:
    """What is wrong, or None; also where nobody can know what is free."""
    if free is None or free >= min_free_gb * 2**30:
        return None
    return f"{free / 2**30:,.1f} GiB are free under {label}, too little for a day of ticks"


def require_space(label: str, free: int | None, min_free_gb: float) -> None:
    """Raises StoreError where too little is free."""
    if wrong := little_space(label, free, min_free_gb):
        raise StoreError(wrong, hint="free some space, or lower QUOTEMILL_QUESTDB__MIN_FREE_GB")


def as_problem(wrong: str) -> str:
    """As `check` tells it: with the mend."""
    return f"{wrong}: free some space, or lower questdb.min_free_gb"
