"""A copy of the dbt project, whose files a test may change."""

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.dbt.conftest import PROJECT


def own_checkout(folder: Path) -> Path:
    """Copy the project below `folder`; return its dbt_project."""
    for part in ("dbt_project", "macros", "seeds", "tests/dbt", "docs/dbt"):
        ignored = shutil.ignore_patterns("target", "logs", "profiles.yml")
        shutil.copytree(PROJECT.parent / part, folder / part, ignore=ignored)
    return folder / "dbt_project"


def build_from(patch: pytest.MonkeyPatch, project: Path, target: Path) -> None:
    """Let dbt build another project from now on, as it is parsed in `target`."""
    patch.setattr("tests.integration.dbt.conftest.PROJECT", project)
    if not target.exists() and Path(os.environ["DBT_TARGET_PATH"]).exists():
        shutil.copytree(os.environ["DBT_TARGET_PATH"], target)
    patch.setenv("DBT_TARGET_PATH", str(target))
