"""A backup beside the warehouse is named, as one disk would take both."""

from pathlib import Path

from loaders.settings import load_settings
from orchestration.backup.folder import is_on_warehouse_disk


def test_a_backup_on_the_disk_of_the_warehouse_is_recognised(tmp_path: Path) -> None:
    environ = {"QUOTEMILL_HOME": str(tmp_path)}
    settings = load_settings(environ, cwd=tmp_path)
    assert is_on_warehouse_disk(settings, tmp_path / "backups")
    assert not is_on_warehouse_disk(settings, Path("/proc"))
    environ["QUOTEMILL_WAREHOUSE_URL"] = "postgresql://db/market"
    elsewhere = load_settings(environ, cwd=tmp_path)
    assert not is_on_warehouse_disk(elsewhere, tmp_path / "backups")
