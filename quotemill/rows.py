"""The rows of a reading: an Arrow table, and the forms that other libraries take."""

from collections.abc import Container, Iterable, Iterator
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from quotemill.errors import UsageError

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa

# what names a row, and when it was: the first of each that is there
NAMES = ("code", "variety", "contract", "symbol", "underlying_symbol", "sector_id")
TIMES = ("bar_end", "traded_at", "ts", "start_at", "sample_time", "sampled_at")
DAYS = ("trade_date", "trading_day", "ex_date", "quote_date", "oi_asof_date", "valid_from")
_SHOWN, _WIDTH = 10, 100  # rows, and letters of a line
_CUT = ["…"] * (_SHOWN + 1)  # in place of the columns that find no room
_WHOLE, _PLACES = 2**53, 22  # up to which doubles have every whole number, every power of ten


class Rows:
    """Rows in memory. Libraries that read Arrow take them directly: `polars.DataFrame(rows)`."""

    def __init__(self, table: "pa.Table", *, is_exact: bool = False) -> None:
        self._table = table
        self._is_exact = is_exact

    def to_arrow(self) -> "pa.Table":
        """Return a pyarrow table: exact decimals, days as date32, times in UTC as microseconds."""
        return self._table

    def to_pandas(self, *, index: bool = False, **options: Any) -> "pandas.DataFrame":
        """Return a pandas frame: days as datetime64, numbers as float64 (Decimal if exact=True).

        index: use the code and the time, or the day, as the index
        options: passed to `pyarrow.Table.to_pandas`

        Raises UsageError if `index` is true and the rows have neither; ModuleNotFoundError without
        pandas.
        """
        if not isinstance(index, bool):
            other = f"to_pandas().set_index({index!r})"
            raise UsageError(f"index must be True or False: for another one use {other}")
        table = self._table
        for place, field in enumerate(table.schema):
            column = self._loosen(field, table.column(place), options)
            table = table.set_column(place, field.name, column)
        frame = table.to_pandas(**options)
        return frame.set_index(self._find_index()) if index else frame

    def to_polars(self) -> "polars.DataFrame":
        """Return a polars frame with exact decimals. Raises ModuleNotFoundError without polars."""
        import polars

        frame = polars.from_arrow(self._table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_duckdb(
        self, name: str, connection: "duckdb.DuckDBPyConnection | None" = None
    ) -> "duckdb.DuckDBPyRelation":
        """Register the rows as the DuckDB view `name` and return it. Nothing is copied.

        connection: None: the default connection, which `duckdb.sql` uses

        Raises ModuleNotFoundError without duckdb.
        """
        import duckdb

        target = connection or duckdb.default_connection()
        return target.register(name, self._table).table(name)

    def to_zone(self, tz: str = "Asia/Shanghai") -> "Rows":
        """Return the rows with times converted from UTC to a zone, by default China's.

        Raises UsageError for an unknown zone.

            >>> names = ["bar_end", "close"]
            >>> times = "2025-06-30 10:30", "2025-06-30 10:31"
            >>> market.klines("600000", *times, freq="1m", columns=names).to_zone().to_pandas()
                                bar_end  close
            0 2025-06-30 10:30:00+08:00    6.9
            1 2025-06-30 10:31:00+08:00    6.9
        """
        import pyarrow as pa

        try:
            kind = pa.timestamp("us", tz)
            pa.scalar(0, kind).as_py()  # Arrow takes any name
        except (KeyError, TypeError, ValueError):
            hint = "Use an IANA name such as Asia/Shanghai."
            raise UsageError(f"unknown time zone {tz!r}", hint=hint) from None
        fields = [
            field.with_type(kind) if getattr(field.type, "tz", None) else field
            for field in self.schema
        ]
        return Rows(self._table.cast(pa.schema(fields)), is_exact=self._is_exact)

    def head(self, n: int = 5) -> "Rows":
        """Return the first n rows. A negative n returns all but the last -n rows."""
        return Rows(self._table[:n], is_exact=self._is_exact)

    @property
    def schema(self) -> "pa.Schema":
        """Column names and types, as a pyarrow schema."""
        return self._table.schema

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._table.to_batches():
            yield from batch.to_pylist()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        columns = self._show()
        widths = [max(map(len, column)) for column in columns]
        while len(columns) > 1 and sum(widths) + 2 * len(widths) > _WIDTH:
            columns, widths = [*columns[:-2], _CUT], [*widths[:-2], 1]
        lines = [
            "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))
            for line in zip(*columns, strict=False)
        ]
        return "\n".join([*lines, f"{len(self):,} rows of {', '.join(self.schema.names)}"])

    def _repr_html_(self) -> str:
        names, *rows = zip(*self._show(), strict=True)
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
        )
        caption = f"<p>{len(self):,} rows</p>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{caption}"

    def _show(self) -> list[list[str]]:
        """Each column as its name and the texts of its first values."""
        table = self.head(_SHOWN).to_arrow()
        return [
            [name, *_write(column.to_pylist())]
            for name, column in zip(table.schema.names, table.columns, strict=True)
        ]

    def _loosen(
        self, field: "pa.Field", column: "pa.ChunkedArray", options: dict[str, Any]
    ) -> "pa.ChunkedArray":
        """A column as pandas computes with it."""
        import pyarrow as pa

        from quotemill.readers.arrow import NUMERIC_TEXT

        if pa.types.is_date(field.type) and not options.get("date_as_object"):
            return column.cast(pa.timestamp("us"))  # which has 9999-12-31, as nanoseconds have not
        if self._is_exact:
            return column
        if field.metadata == NUMERIC_TEXT:
            return column.cast(pa.float64())
        return _to_doubles(column) if pa.types.is_decimal(field.type) else column

    def _find_index(self) -> list[str]:
        known = self.schema.names
        for_index = [find_first(NAMES, known), find_first((*TIMES, *DAYS), known)]
        if names := [name for name in for_index if name]:
            return names
        raise UsageError("the rows have no code or time for an index", hint="Leave out index.")


def find_first(names: Iterable[str], known: Container[str]) -> str | None:
    """The first of some names that is known."""
    return next((name for name in names if name in known), None)


def _write(values: list[Any]) -> list[str]:
    """The texts of values; of decimals with the places that one of them needs."""
    decimals = [value for value in values if isinstance(value, Decimal)]
    places = max((len(f"{value:f}".partition(".")[2].rstrip("0")) for value in decimals), default=0)

    def write(value: Any) -> str:
        if value is None:
            return ""
        if not isinstance(value, Decimal):
            return str(value)
        whole, _, part = f"{value:f}".partition(".")
        return f"{whole}.{part[:places]}" if places else whole

    return [write(value) for value in values]


def _to_doubles(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """The nearest doubles. Arrow's cast of a decimal is another one for every seventh price."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.decimal128(38, 0)
    units = pa.chunked_array([chunk.view(whole) for chunk in column.chunks], whole)
    units = units.cast(pa.float64())
    if column.type.scale <= _PLACES and (pc.max(pc.abs(units)).as_py() or 0) < _WHOLE:
        return pc.divide(units, 10.0**column.type.scale)
    return column.cast(pa.string()).cast(pa.float64())
