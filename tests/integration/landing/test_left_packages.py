"""What a kill leaves of dlt's packages, and the load after it."""

from pathlib import Path

from loaders.landing.load_job import Landed, _drop_normalized
from tests.integration.landing.conftest import LandingBench


def test_a_half_deleted_package_holds_up_no_load(bench: LandingBench) -> None:
    pipeline, _ = bench.open()
    left = Path(pipeline.working_dir) / "normalize" / "extracted" / "1700000000.5"
    (left / "new_jobs").mkdir(parents=True)
    _, landed = bench.open()
    assert landed == Landed()
    assert not left.exists()


def test_only_packages_whose_rows_the_next_step_has_are_deleted(tmp_path: Path) -> None:
    extracted, normalized = tmp_path / "normalize" / "extracted", tmp_path / "load" / "normalized"
    for name in ("1.5", "2.5"):
        (extracted / name).mkdir(parents=True)
        (extracted / name / "schema.json").touch()
    (normalized / "1.5").mkdir(parents=True)
    _drop_normalized(tmp_path)
    assert [package.name for package in extracted.iterdir()] == ["2.5"]
    assert (normalized / "1.5").exists()
