"""The definition of an export: the rows of a table or query, and the form of its files."""

from dataclasses import dataclass
from datetime import date

from quotemill.errors import UsageError
from quotemill.readers.listed import require_known

FORMS = ("parquet", "csv", "qlib")
ADJUSTMENTS = ("none", "qfq", "hfq")


@dataclass(frozen=True)
class Definition:
    """An export without its folder.

    what: a table such as `kline_daily` or `options.chain_daily_clean`, or a query
    form: one of FORMS
    codes: only rows of these, as given; none: of all
    since: only rows of days from this one on
    adjust: one of ADJUSTMENTS: which of the tables of bars
    is_exact: decimals as they are; else doubles, which qlib has always
    """

    what: str
    form: str
    codes: tuple[str, ...] = ()
    since: date | None = None
    adjust: str = "none"
    is_exact: bool = True

    def __post_init__(self) -> None:
        require_known("--to", [self.form], FORMS)
        require_known("--adjust", [self.adjust], ADJUSTMENTS)
        if self.is_query and self.adjust != "none":
            raise UsageError("a query is not adjusted", hint="Select from the adjusted table.")

    @property
    def is_query(self) -> bool:
        return any(letter.isspace() for letter in self.what.strip())
