"""Days on which an exchange traded and no calendar has it open, by the client's files.

A weekend alone proves nothing: exchanges traded on some. A single record proves nothing either, as
files have stray ones. The exchange's index and most of its codes prove a day.
"""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import numpy as np

from loaders.tdx.bars.records import Ints, to_dates
from loaders.tdx.files.vipdoc import list_days

INDEX = {"sh": "sh000001", "sz": "sz399001", "bj": "bj899050"}
SAMPLE = 30  # codes whose files are read, of thousands
LEAST = 3  # codes that have the day: one or two can have a stray record


def find_own_days(files: Mapping[str, Path], exchange: str, closed: Callable[[date], bool]) -> Ints:
    """Days, counted from 1970-01-01, of files of day bars by code; `closed` asks the calendars."""
    index = INDEX[exchange]
    none = np.zeros(0, np.int64)
    known = list_days(files[index]) if index in files else none
    days = np.array([d for d, day in zip(known, to_dates(known), strict=True) if closed(day)], int)
    if not len(days):
        return none
    codes = sorted(code for code in files if code.startswith(exchange) and code != index)
    held, spanned = np.zeros(len(days), int), np.zeros(len(days), int)
    for code in codes[:: max(len(codes) // SAMPLE, 1)]:
        its_days = list_days(files[code])
        if len(its_days):
            held += np.isin(days, its_days)
            spanned += (its_days.min() <= days) & (days <= its_days.max())
    return days[(held >= LEAST) & (2 * held > spanned)]
