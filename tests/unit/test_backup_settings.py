"""The settings of a backup: all that was set, and no secret."""

import re
import tomllib
from pathlib import Path

from loaders.settings import load_settings
from orchestration.backup.settings_text import without_secrets

SECRETS = {
    "QUOTEMILL_WAREHOUSE_URL": "postgresql://writer:hunter2@db.example/market_data",
    "QUOTEMILL_TQ__PASSWORD": "planted-password",
    "QUOTEMILL_TDX__BASE_URL": "http://somebody:planted-too@tdx.example:8080",
}
TOML = """
backups_kept = 7
[tdx]
corporate_actions = '/srv/"quoted" \\path.csv'
indices = ["sh000001", "sz399001"]
[tq]
start = 2025-01-02
[ib]
host = "gateway.example"
weekly_compaction_enabled = false
[ib.rate_limits.snapshot]
per_minute = 12.5
"""


def test_what_was_set_comes_back_and_secrets_are_only_named(tmp_path: Path) -> None:
    (tmp_path / "quotemill.toml").write_text(TOML)
    made = load_settings({**SECRETS, "QUOTEMILL_HOME": str(tmp_path)}, cwd=tmp_path)
    text, secret = without_secrets(made)

    assert secret == ["tdx.base_url", "tq.password", "warehouse_url"]
    assert not [s for s in ("hunter2", "planted") if s in text]
    assert re.search("# tq.password: .* QUOTEMILL_TQ__PASSWORD", text)

    again = tmp_path / "again"
    again.mkdir()
    (again / "quotemill.toml").write_text(text)
    restored = load_settings(SECRETS, cwd=again)
    assert restored == made.model_copy(update={"origins": restored.origins})


def test_without_any_setting_there_is_nothing_to_tell(tmp_path: Path) -> None:
    text, secret = without_secrets(load_settings({}, cwd=tmp_path))
    assert (tomllib.loads(text), secret) == ({}, [])
