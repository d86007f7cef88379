"""A home of its own over a warehouse of closed option days."""

from pathlib import Path

import pytest

from loaders.settings import Settings
from tests.integration.dbt.option_days import settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def folder(settings: Settings) -> Path:
    return settings.home / "archive"
