"""The real day bars in ../shared/data/tdx, read without the product."""

import csv
from pathlib import Path


def read_untraded_days(folder: Path, code: str) -> set[str]:
    """Days on which nobody traded `SH600000`: one price, no shares and no turnover."""
    with (folder / f"daily_{code}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    still = [row for row in rows if row["volume_hands"] == row["amount_yuan"] == "0"]
    return {row["date"] for row in still if row["low"] == row["high"]}
