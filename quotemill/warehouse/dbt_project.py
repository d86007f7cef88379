"""The dbt project: of the checkout around the working directory, the installed one, or bundled."""

import os
from dataclasses import dataclass
from pathlib import Path

from quotemill.errors import SettingsError


@dataclass(frozen=True)
class Project:
    """`root` holds dbt_project/, macros/, seeds/."""

    root: Path

    @property
    def dbt(self) -> Path:
        return self.root / "dbt_project"

    @property
    def is_bundled(self) -> bool:
        """Whether it is inside an installed package, whose folders must not be written."""
        return self.root.name == "bundled"

    def profiles(self, home: Path) -> Path:
        """The folder where plain dbt looks for profiles.yml, but never inside an installed package.

        Two homes share it, because no command of ours reads the file.
        """
        own = home / "dbt" if self.is_bundled else self.dbt
        return Path(os.environ.get("DBT_PROFILES_DIR") or own)


def find_project(cwd: Path | None = None) -> Project:
    """The nearest of: a checkout around `cwd`, the checkout of an editable install, the package."""
    here = (cwd or Path.cwd()).resolve()
    package = Path(__file__).resolve().parents[2]
    for root in (here, *here.parents, package, package / "orchestration" / "bundled"):
        if (root / "dbt_project" / "dbt_project.yml").is_file() and (root / "macros").is_dir():
            return Project(root)
    raise SettingsError("the dbt project is missing", hint="install quotemill again")
