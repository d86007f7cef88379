"""The two locks agree: running needs a part of what development needs, at the same versions."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from orchestration.run.quick_dbt import VERSIONS
from quotemill.installation import install_hint

ROOT = Path(__file__).parents[2]
TOOLS = {"pytest", "mypy", "ruff", "sqlfluff", "sphinx", "hypothesis"}


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+)", text, re.MULTILINE))


def name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")


def extras() -> dict[str, set[str]]:
    """The packages of each extra, beside those of other extras that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    given = project["optional-dependencies"]
    return {extra: {name(x) for x in given[extra]} - {"quotemill"} for extra in given}


def test_the_lock_for_running_is_part_of_the_one_for_development() -> None:
    running, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert len(running) > 100
    assert running.items() <= development.items()


def test_a_clone_has_every_extra_so_that_nothing_installs_one_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = ("dev", "dagster")  # have a lock of their own
    needed = {x for extra, given in extras().items() if extra not in own for x in given}
    assert needed <= {name(pin) for pin in pins("requirements.lock")}

    # the hint names no extra, and the environment that it is to be installed into
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    assert install_hint("tq") == f"make -B install, in {ROOT}"
    monkeypatch.setattr(sys, "prefix", "/opt/my own")
    assert install_hint("tq") == f"make -B install VENV='/opt/my own', in {ROOT}"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert {"VENV ?= .venv", "install: $(STAMP)"} <= set(makefile.splitlines())

    # nor does a page or a message: extras are for wheels
    pages = [ROOT / "Dockerfile", ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    modules = [
        m for top in ("loaders", "orchestration", "quotemill") for m in (ROOT / top).rglob("*.py")
    ]
    for path in (*pages, *modules):
        text = path.read_text("utf-8")
        assert not re.search(r"EXTRAS=|pip install (-e )?['\"]?\.", text), path
        assert re.findall(r"pip install [^`\n]*\[[\w,]+\]", text) == re.findall(
            r"pip install (?:--no-index --find-links wheels 'quotemill|"
            r"'PATH-OF-THE-WHEEL|'httpx)\[[\w,]+\]",
            text,
        )


def test_tools_are_in_the_lock_for_development_alone() -> None:
    assert set(pins("requirements-dev.lock")) >= TOOLS
    assert not TOOLS & set(pins("requirements.lock"))


def test_the_lock_of_dagster_has_what_it_adds_and_nothing_else() -> None:
    added = pins("requirements-dagster.lock")
    assert extras()["dagster"] <= added.keys()
    assert not added.keys() & pins("requirements.lock").keys()
    shared = added.keys() & pins("requirements-dev.lock").keys()
    assert {name: added[name] for name in shared}.items() <= pins("requirements-dev.lock").items()


def test_every_pin_has_a_hash_and_no_index_is_named() -> None:
    for name in (
        "requirements.lock",
        "requirements-dev.lock",
        "requirements-dagster.lock",
        "requirements-dbt112.lock",
    ):
        text = (ROOT / name).read_text("utf-8")
        entries = re.split(r"^(?=[\w.-]+(?:\[[\w,-]+\])?==)", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in entry for entry in entries), name
        assert "://" not in text


def test_the_lock_of_the_next_dbt_has_what_it_adds_and_nothing_else() -> None:
    running, added = pins("requirements.lock"), pins("requirements-dbt112.lock")
    assert added["dbt-core"].startswith("1.12.")
    assert "dbt-core-experimental-parser" not in added
    assert not added.items() & running.items()
    assert added.keys() & running.keys() == {"dbt-core"}


def test_the_project_and_the_commands_take_the_dbt_of_both_locks() -> None:
    text = (ROOT / "dbt_project" / "dbt_project.yml").read_text("utf-8")
    project = SpecifierSet(",".join(yaml.safe_load(text)["require-dbt-version"]))
    for lock, start in zip(
        ("requirements.lock", "requirements-dbt112.lock"), VERSIONS, strict=True
    ):
        locked = pins(lock)["dbt-core"]
        assert locked.startswith(start)
        assert locked in project
    assert not any(other in project for other in ("1.10.9", "1.13.0"))
