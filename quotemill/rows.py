"""The rows of a reading: an Arrow table, and the forms that other libraries take."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import duckdb
    import pandas
    import polars
    import pyarrow as pa


class Rows:
    """Rows in memory. Whatever takes Arrow takes them as they are: `polars.DataFrame(rows)`."""

    def __init__(self, table: "pa.Table") -> None:
        self._table = table

    def to_arrow(self) -> "pa.Table":
        """The pyarrow table: decimals exact, days as date32, times in UTC to the microsecond."""
        return self._table

    def to_pandas(self, **options: Any) -> "pandas.DataFrame":
        """A pandas frame; `options` as `pyarrow.Table.to_pandas` takes them.

        Exact decimals are Python's Decimal, which pandas computes with slowly: for figures ask for
        the rows with `float=True`. Days are `datetime.date`; `date_as_object=False` makes them
        timestamps. Raises ModuleNotFoundError without pandas.
        """
        return self._table.to_pandas(**options)

    def to_polars(self) -> "polars.DataFrame":
        """A polars frame; decimals stay exact. Raises ModuleNotFoundError without polars."""
        import polars

        frame = polars.from_arrow(self._table)
        assert isinstance(frame, polars.DataFrame)
        return frame

    def to_duckdb(
        self, name: str, connection: "duckdb.DuckDBPyConnection | None" = None
    ) -> "duckdb.DuckDBPyRelation":
        """The rows as the view `name` of DuckDB, and that view; nothing is copied.

        connection: None: DuckDB's default one, which `duckdb.sql` asks

        Raises ModuleNotFoundError without duckdb.
        """
        import duckdb

        target = connection or duckdb.default_connection()
        return target.register(name, self._table).table(name)

    @property
    def schema(self) -> "pa.Schema":
        """Names and types of the columns."""
        return self._table.schema

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        return f"{len(self):,} rows of {', '.join(self.schema.names)}"
