"""Each dataset in the tables that say how fresh it is."""

from pathlib import Path

from loaders.tdx.plan import NAMES

MODEL = "dbt_project/models/qa/freshness_tdx.sql"


def test_every_dataset_shows_up_to_when_it_was_loaded() -> None:
    model = (Path(__file__).parents[3] / MODEL).read_text()
    assert [name for name in NAMES if f"'{name}'" not in model] == []
