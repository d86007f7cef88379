"""A QuestDB that does not answer, refuses its user, or has no address."""

import logging
import socket
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from loaders.settings import Settings
from loaders.ticks.open_store import open_store, store_label
from loaders.ticks.questdb import connection
from loaders.ticks.questdb.ilp import IlpWriter
from loaders.ticks.questdb.store import QuestdbStore
from loaders.ticks.tables import MAIN_TICKS
from quotemill.errors import SettingsError
from quotemill.ticks.questdb_http import Address, StoreError
from tests.integration.ticks.servers import SMALL, address_of, open_at
from tests.ticks import day_of_ticks, write_day


def test_a_server_that_is_down_is_an_error_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail_to_wait(seconds: float) -> None:
        raise AssertionError("a server that never answered is not waited for")

    monkeypatch.setattr(connection.time, "sleep", fail_to_wait)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listened on: nobody else gets it
        settings = Settings(
            home=tmp_path, questdb_url=f"http://u:hush@127.0.0.1:{taken.getsockname()[1]}"
        )
        store = open_store(settings)
        with pytest.raises(StoreError, match=r"127\.0\.0\.1") as raised:
            store.prepare()
    assert "quotemill questdb start" in raised.value.hint
    assert "hush" not in f"{raised.value} {raised.value.hint} {store_label(settings)} {settings!r}"


def test_a_local_server_that_is_down_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not running") as raised:
        open_store(Settings(home=tmp_path, questdb_url="local"))
    assert "`quotemill questdb start`" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["nonsense", "ftp://x", "http://", "http://h:99999", "postgresql://h/d"]
)
def test_an_unusable_address_is_a_wrong_setting(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="questdb_url"):
        open_store(Settings(home=tmp_path, questdb_url=url))


def test_a_wrong_password_is_a_wrong_setting(
    questdb_store: QuestdbStore, questdb_folder: Path
) -> None:
    right = address_of(questdb_folder)
    wrong = replace(right, password="not-the-one")
    store = QuestdbStore(lambda: wrong, SMALL, label="QuestDB")
    with pytest.raises(SettingsError, match=" user quotemill") as raised:
        store.prepare()
    assert "not-the-one" not in f"{raised.value}{raised.value.hint}{wrong!r}{store!r}"
    writer = IlpWriter(wrong)
    with pytest.raises(SettingsError, match=" user quotemill") as raised:
        writer.send(MAIN_TICKS.name, [pa.table({"ts": day_of_ticks(1)["ts"], "seq": [0]})], [])
    assert "not-the-one" not in str(raised.value)


@pytest.mark.parametrize("way", ["stage", "ilp"])
def test_the_password_is_shown_nowhere(
    questdb_store: QuestdbStore, questdb_folder: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    address: Address = address_of(questdb_folder)
    assert address.password
    caplog.set_level(logging.DEBUG)
    store = open_at(questdb_folder, way)
    write_day(store, day_of_ticks(50))
    texts = [repr(store), store.label, repr(address), caplog.text]
    texts += [repr(vars(part)) for part in (store, store._connection)]
    with pytest.raises(StoreError) as raised:
        store._connection.writer().send(
            MAIN_TICKS.name, [pa.table({"ts": day_of_ticks(1)["ts"], "no": [0]})], []
        )
    texts += [str(raised.value), raised.value.hint]
    store.close()
    assert all(address.password not in text for text in texts)
