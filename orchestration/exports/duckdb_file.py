"""A DuckDB file beside Parquet files, with a view of their rows under the table's name."""

import importlib.util

from loaders.files.whole_file import unfinished
from orchestration.exports.folder import Folder, State
from orchestration.exports.source import Source

NAME = "views.duckdb"


def write_views(folder: Folder, source: Source, state: State) -> None:
    """Write views.duckdb, where DuckDB is installed and there is a file to read.

    The view names the files by their absolute path: after a move the next export renews it.
    """
    if importlib.util.find_spec("duckdb") is None or not state.names:
        return
    import duckdb

    files = str(folder.path(source.name) / "**" / "*.parquet").replace("'", "''")
    path = folder.path(NAME)
    with folder.usable():
        unfinished(path).unlink(missing_ok=True)
        with duckdb.connect(str(unfinished(path))) as conn:
            conn.execute(
                f'create view "{source.name}" as '
                f"select * from read_parquet('{files}', hive_partitioning = false)"
            )
        unfinished(path).replace(path)
