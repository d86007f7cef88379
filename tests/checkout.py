"""A copy of the dbt project, whose files a test may change."""

import shutil
from pathlib import Path

from tests.dbt_parse import PROJECT

LAYERS = ("staging", "core", "intermediate", "marts", "qa")


def list_foreign_models() -> set[str]:
    """List the folders that somebody added to models/, which may read what no test has."""
    return {path.name for path in (PROJECT / "models").iterdir() if path.is_dir()} - set(LAYERS)


def own_checkout(folder: Path) -> Path:
    """Copy the project below `folder`, without models of users; return its dbt_project."""

    def ignored(copied: str, names: list[str]) -> set[str]:
        written = {"target", "logs", "profiles.yml", ".user.yml"} & set(names)
        return written | list_foreign_models() if Path(copied) == PROJECT / "models" else written

    for part in ("dbt_project", "macros", "seeds", "tests/dbt", "docs/dbt"):
        shutil.copytree(PROJECT.parent / part, folder / part, ignore=ignored)
    return folder / "dbt_project"
