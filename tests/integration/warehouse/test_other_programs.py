"""An embedded server of another build of PostgreSQL than the packaged one."""

import re
from pathlib import Path

import psycopg
import pytest

from loaders.warehouse.embedded import server as embedded
from loaders.warehouse.embedded.settings import ServerSettings
from quotemill.errors import SettingsError
from tests.integration.warehouse.conftest import DEBIAN, require_debian


@pytest.fixture
def debian() -> ServerSettings:
    return ServerSettings(programs=require_debian())


def test_the_server_of_named_programs_sorts_as_the_packaged_one(
    empty_home: Path, debian: ServerSettings
) -> None:
    try:
        server = embedded.ensure_running(empty_home, debian)
        assert server.major == 15
        with psycopg.connect(server.url) as conn:
            texts = ["b", "A", "a_", "a0", "上", "é", ""]
            ordered = conn.execute(
                "select t from unnest(%s::text[]) as t order by t", [texts]
            ).fetchall()
            program = conn.execute("select pg_read_file('postmaster.opts')").fetchone()
        assert [text for (text,) in ordered] == sorted(texts)
        assert program
        assert program[0].startswith(str(DEBIAN))
        assert embedded.ensure_running(empty_home, debian) == server
    finally:
        embedded.stop(empty_home)


def test_data_of_another_major_need_its_programs(
    stopped_home: Path, debian: ServerSettings
) -> None:
    with pytest.raises(SettingsError, match="PostgreSQL 18, ") as caught:
        embedded.ensure_running(stopped_home, debian)
    assert re.match(".* server.programs .* 18", caught.value.hint)
    assert embedded.ensure_running(stopped_home).major == 18
    embedded.stop(stopped_home)


def test_a_folder_without_the_programs_and_an_old_postgresql_are_refused(
    empty_home: Path, tmp_path: Path
) -> None:
    assert ServerSettings.model_validate({"programs": ""}).programs is None
    named = ServerSettings(programs=tmp_path)
    with pytest.raises(SettingsError, match=r" initdb$"):
        embedded.ensure_running(empty_home, named)
    for name in ("initdb", "pg_ctl", "postgres"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 14.3 (Debian 14.3-1)'\n")
        program.chmod(0o755)
    with pytest.raises(SettingsError, match=r"PostgreSQL 14\.3"):
        embedded.ensure_running(empty_home, named)
    assert not (empty_home / "postgres").exists()
