"""Of arbitrary seeds and settings: a result or an error of ours."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.settings import Settings
from loaders.settings.saving import change_dotenv, change_toml
from orchestration.run.seed_files import check_file
from quotemill.settings.merge import read_layers
from tests.integration.foreign_bytes.arbitrary import TEXTS, damaged, fails_as_ours

SEED = {"code": "text", "day": "date", "remark": "text"}


@given(
    damaged(b'code,day,remark\nsh600000,2024-06-28,"a, b"\n') | damaged(b"code,day,remark\n1,2,3")
)
def test_seeds(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "seed.csv"
    path.write_bytes(content)

    def read() -> None:
        check_file(path, SEED)
        rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        assert {len(cells) for cells in rows} == {3}

    fails_as_ours(read)


NAMES = st.sampled_from(
    [
        "HOME",
        "CONFIG",
        "TDX__RETRIES",
        "TDX",
        "TDX__A__B",
        "WAREHOUSE_URL",
        "TQ__ACCOUNT",
        "ORIGINS",
    ]
)
NO_NULL = TEXTS.filter(lambda text: "\0" not in text and "\ud800" not in text)


@given(st.dictionaries(NAMES.map(lambda name: f"QUOTEMILL_{name}"), NO_NULL, max_size=3))
def test_variables(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> None:
    fails_as_ours(lambda: read_layers(Settings, environ, tmp_path_factory.getbasetemp()).merge())


@given(damaged(b"[tdx]\nretries = 3\n"), damaged(b"QUOTEMILL_TDX__RETRIES=3\n"))
def test_files_that_are_changed(toml: bytes, dotenv: bytes) -> None:
    fails_as_ours(lambda: change_toml(toml.decode(errors="replace"), {"tdx.retries": 4}))
    fails_as_ours(lambda: change_dotenv(dotenv.decode(errors="replace"), {"tdx.retries": 4}))
