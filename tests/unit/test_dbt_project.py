"""The dbt project of a checkout around the working directory is one of the installed version."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from quotemill.errors import SettingsError
from quotemill.warehouse.dbt_project import find_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of this version."""
    own = ROOT / "dbt_project" / "dbt_project.yml"
    (tmp_path / "macros").mkdir()
    (tmp_path / "dbt_project").mkdir()
    (tmp_path / "dbt_project" / own.name).write_bytes(own.read_bytes())
    return tmp_path


def test_the_project_has_the_version_of_the_package() -> None:
    package = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = yaml.safe_load((ROOT / "dbt_project" / "dbt_project.yml").read_text("utf-8"))
    assert project["version"] == package["project"]["version"]


def test_a_checkout_of_this_version_is_found_around_a_folder(checkout: Path) -> None:
    assert find_project(checkout / "dbt_project").root == checkout


@pytest.mark.parametrize("line", ["version: 0.0.9", 'version: "0.0.9"', ""])
def test_a_checkout_of_another_version_is_refused(checkout: Path, line: str) -> None:
    file = checkout / "dbt_project" / "dbt_project.yml"
    text = re.sub("(?m)^version: .*$", line, file.read_text("utf-8"))
    file.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        find_project(checkout / "macros")
    assert caught.value.exit_code == 3
    assert str(checkout) in str(caught.value)
    assert caught.value.hint.endswith(f"`pip install {checkout}`.")
