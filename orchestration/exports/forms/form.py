"""The parts of a form of files."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestration.exports.definition import Definition
from orchestration.exports.folder import Files, Folder
from orchestration.exports.parts import Part
from orchestration.exports.source import Source, find_source
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Plan:
    """The present parts of an export.

    parts: those that the rows have
    data: what the writing of parts shares
    """

    parts: list[Part]
    data: Any = None


@dataclass(frozen=True)
class Form:
    """A form of files.

    pattern: of the names of its files, below the folder
    plan: the parts of a source
    write_part: write the unfinished files of a part; one without rows has none
    find_source: the rows of a definition
    """

    pattern: re.Pattern[str]
    plan: Callable[[psycopg.Connection, Source], Plan]
    write_part: Callable[[psycopg.Connection, Folder, Source, Part, Plan], Files]
    find_source: Callable[[psycopg.Connection, Warehouse, Definition], Source] = find_source
