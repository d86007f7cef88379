"""Exports of one warehouse to folders below one, for tests."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from loaders.engine.progress import Silent
from orchestration.exports.definition import Definition
from orchestration.exports.write import ExportResult, export
from quotemill.warehouse.postgres import Warehouse

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


class Copier:
    """Exports of one warehouse to folders below one."""

    def __init__(self, warehouse: Warehouse, root: Path) -> None:
        self.warehouse, self.root = warehouse, root

    def __call__(self, what: str, folder: str = "copy", **options: Any) -> ExportResult:
        wanted = Definition(what, options.pop("form", "parquet"), **options)
        return export(self.warehouse, wanted, self.root / folder, Silent(), NOW)

    def files(self, folder: str = "copy") -> dict[str, str]:
        """The hashes of the files by name, without those about the export."""
        root = self.root / folder
        return {
            path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in root.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }

    def manifest(self, folder: str = "copy") -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.root / folder / "manifest.json").read_text())
        return document


def stored(conn: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    return conn.execute(query.encode()).fetchall()
