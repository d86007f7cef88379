"""Exports to storage that is no folder: its files, what a killed one leaves, what is refused."""

import hashlib
import json
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

from loaders.engine.progress import Silent
from orchestration.exports import write
from orchestration.exports.definition import Definition
from orchestration.exports.write import export
from quotemill.errors import SettingsError, UsageError
from quotemill.warehouse.postgres import Warehouse
from tests.integration.dbt.conftest import Dbt
from tests.integration.dbt.copier import NOW, Copier

ADDRESS = "fsspec+memory://bucket/bars"
WANTED = Definition("kline_daily_qfq", "parquet")
STORE = fsspec.filesystem("memory")


@pytest.fixture
def copy(built: Dbt, warehouse: Warehouse, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    yield Copier(warehouse, tmp_path / "exports")
    STORE.rm("/bucket", recursive=True)
    assert [path for path in tmp_path.iterdir() if path.name.startswith("quotemill")] == []


def send(copy: Copier, reporter: Silent | None = None, **options: Any) -> Any:
    return export(copy.warehouse, WANTED, ADDRESS, reporter or Silent(), NOW, **options)


def list_files() -> dict[str, str]:
    """The hashes of the files by name."""
    return {
        path.removeprefix("/bucket/bars/"): hashlib.sha256(STORE.cat(path)).hexdigest()
        for path in STORE.find("/bucket/bars")
    }


def test_a_bucket_has_the_files_of_a_folder(copy: Copier) -> None:
    result, beside = send(copy), copy("kline_daily_qfq")
    assert (result.folder, result.rows, result.files) == (ADDRESS, 60, 2)
    assert (result.bytes, result.written) == (beside.bytes, beside.written)
    files = list_files()
    del files["manifest.json"]
    assert files == copy.files()
    manifest = json.loads(STORE.cat("/bucket/bars/manifest.json"))
    assert manifest["parts"] == copy.manifest()["parts"]
    table = pq.read_table("/bucket/bars/kline_daily_qfq", filesystem=STORE, partitioning=None)
    assert table.num_rows == 60
    STORE.pipe("/bucket/bars/kline_daily_qfq/month=2023-01/part-0.parquet", b"")
    assert send(copy).removed == 1
    assert list_files().keys() - {"manifest.json"} == files.keys()


def test_what_was_cut_short_has_no_manifest_and_is_sent_again(
    copy: Copier, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Silent):
        def advance(self, dataset: str, keys: int) -> None:
            raise KeyboardInterrupt

    send(copy)
    whole = list_files()
    monkeypatch.setattr(write, "_TOGETHER", 1)
    with pytest.raises(KeyboardInterrupt):
        send(copy, Cut())
    assert whole.keys() - list_files().keys() == {"manifest.json"}
    assert send(copy).written == 2
    assert list_files().keys() == whole.keys()


def test_what_a_bucket_cannot_be_is_refused(copy: Copier, monkeypatch: pytest.MonkeyPatch) -> None:
    STORE.pipe("/bucket/bars/notes.txt", b"mine")
    with pytest.raises(UsageError, match=r"bucket/bars/notes.txt is no file of this export"):
        send(copy)
    assert list(list_files()) == ["notes.txt"]
    STORE.rm("/bucket/bars/notes.txt")
    with pytest.raises(UsageError, match="bars cannot follow: --follow keeps a folder"):
        send(copy, name="bars")
    for address in ("s3://key:secret@bucket/bars", "s3://bucket/bars?secret_key=x"):
        with pytest.raises(UsageError, match="an address has no secrets") as caught:
            export(copy.warehouse, WANTED, address, Silent(), NOW)
        assert "secret@" not in str(caught.value)
    with pytest.raises(UsageError, match="is no place to write"):
        export(copy.warehouse, WANTED, "nowhere://bucket/bars", Silent(), NOW)

    def refuse(*_: object) -> None:
        raise OSError("AWS Error ACCESS_DENIED during PutObject operation")

    monkeypatch.setattr("pyarrow.fs.copy_files", refuse)
    with pytest.raises(SettingsError, match=r"bars cannot be used: AWS Error ACCESS_DENIED"):
        send(copy)
    assert "manifest.json" not in list_files()
