"""The parts of a form of files."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from orchestration.exports.definition import Definition
from orchestration.exports.folder import Files, Folder, State
from orchestration.exports.parts import Part
from orchestration.exports.source import Source, find_source
from quotemill.warehouse.postgres import Warehouse


@dataclass(frozen=True)
class Plan:
    """The present parts of an export.

    parts: those that the rows have
    stale: names of parts that are to be written again, whatever the feed says
    facts: what the next plan compares; JSON
    data: what the writing of parts shares
    """

    parts: list[Part]
    stale: set[str] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    data: Any = None


@dataclass(frozen=True)
class Form:
    """A form of files.

    pattern: of the names of its files, below the folder
    plan: the parts of a source, given the facts of the plan before
    write_part: write the unfinished files of a part; one without rows has none
    find_source: the rows of a definition
    finish: write what goes beside the files, once they are whole
    """

    pattern: re.Pattern[str]
    plan: Callable[[psycopg.Connection, Source, Mapping[str, Any]], Plan]
    write_part: Callable[[psycopg.Connection, Folder, Source, Part, Plan], Files]
    find_source: Callable[[psycopg.Connection, Warehouse, Definition], Source] = find_source
    finish: Callable[[Folder, Source, State], None] | None = None
