"""The dbt project: of the checkout around the working directory, the installed one, or bundled."""

import os
import re
import shlex
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
    """The nearest of: a checkout around `cwd`, the checkout of an editable install, the package.

    Raises SettingsError for a checkout of another version, whose models may need other tables.
    """
    here = (cwd or Path.cwd()).resolve()
    package = Path(__file__).resolve().parents[2]
    own = next(filter(_is_project, (package, package / "orchestration" / "bundled")), None)
    if own is None:
        raise SettingsError("the dbt project is missing", hint="Reinstall quotemill.")
    root = next(filter(_is_project, (here, *here.parents)), own)
    if root != own and (theirs := _read_version(root)) != (ours := _read_version(own)):
        raise SettingsError(
            f"{root} is a checkout of quotemill {theirs}, but {ours} is installed",
            hint="Run the command in another folder, or install that version with "
            f"`pip install {shlex.quote(str(root))}`.",
        )
    return Project(root)


def _is_project(root: Path) -> bool:
    return (root / "dbt_project" / "dbt_project.yml").is_file() and (root / "macros").is_dir()


def _read_version(root: Path) -> str:
    text = (root / "dbt_project" / "dbt_project.yml").read_text("utf-8")
    match = re.search(r"^version: *[\"']?([^\"'\s]+)", text, re.MULTILINE)
    return match[1] if match else "unknown"
