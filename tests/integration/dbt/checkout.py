"""A copy of the dbt project, whose files a test may change."""

import shutil
from pathlib import Path

from tests.dbt_parse import PROJECT, Parsed


def own_checkout(folder: Path) -> Path:
    """Copy the project below `folder`, without models of users; return its dbt_project."""
    models = PROJECT / "models"
    foreign = {path.name for path in models.iterdir() if path.is_dir()} - set(Parsed.LAYERS)

    def ignored(copied: str, names: list[str]) -> set[str]:
        written = {"target", "logs", "profiles.yml"} & set(names)
        return written | foreign if Path(copied) == models else written

    for part in ("dbt_project", "macros", "seeds", "tests/dbt", "docs/dbt"):
        shutil.copytree(PROJECT.parent / part, folder / part, ignore=ignored)
    return folder / "dbt_project"
