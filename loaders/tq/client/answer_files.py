"""Answers of ticks that the store does not hold yet: a Parquet file each, in the home.

They outlive the load: what a kill or a deadline keeps from the store the next load takes from here.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import date
from pathlib import Path

from loaders.tq.client.answers import TickAnswer


class AnswerFiles:
    """The files of a warehouse; the lock of the lane of ticks keeps other loads out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, contract: str, trading_day: date, answer: TickAnswer) -> TickAnswer:
        """Move the file of an answer here."""
        if answer.path is None:
            return answer
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(contract, trading_day)
        return replace(answer, path=answer.path.replace(path))

    def find(self, contract: str, trading_day: date) -> TickAnswer | None:
        """The answer that an earlier load got.

        A file that a power cut damaged, or of a version with other columns, is deleted.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from quotemill.ticks.columns import QUOTED

        path = self._path(contract, trading_day)
        try:
            file = pq.read_metadata(path)
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException):
            path.unlink(missing_ok=True)
            return None
        if not {"datetime_ns", *(name for name, _ in QUOTED)} <= set(file.schema.names):
            path.unlink()
            return None
        return TickAnswer(path, file.num_rows, is_earlier=True)

    def has(self, contract: str, trading_day: date) -> bool:
        return self._path(contract, trading_day).exists()

    def delete(self, contract: str, trading_day: date) -> None:
        """Delete the file of a day that is stored, or has no ticks to store."""
        self._path(contract, trading_day).unlink(missing_ok=True)

    def delete_others(self, due: Collection[tuple[str, date]]) -> int:
        """Delete the files of days that are not due; returns how many are left."""
        names = {self._path(*key).name for key in due}
        files = [*self._folder.glob("*")]
        for file in files:
            if file.name not in names:
                file.unlink()
        return sum(file.name in names for file in files)

    def _path(self, contract: str, trading_day: date) -> Path:
        return self._folder / f"{contract} {trading_day}.parquet"
