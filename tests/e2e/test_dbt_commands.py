"""Each command of dbt that a page shows is run as written, and does what dbt says it does."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from loaders.settings import load_settings
from loaders.warehouse.profiles import is_ours
from tests.conftest import ROOT
from tests.dbt_parse import Parsed
from tests.e2e.commands import sandbox
from tests.e2e.terminal import checkout, environment, run

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
GENERATED = ("docs/reference", "docs/site")
COMMAND = re.compile(
    r"(?:quotemill )?\bdbt (?:build|clean|clone|compile|debug|deps|docs|init|list|ls|parse|retry|"
    r"run|run-operation|seed|show|snapshot|source|test)\b[^\n;&|()#]*"
)
BUILT = r"Completed (successfully|with \d+ warnings)"
# what each prints, in the order in which they run: these before the first load …
UNLOADED = {
    "dbt parse": r"Performance info",
    "dbt ls --resource-type source": r"(?m)^source:quotemill\.raw_tdx\.kline_daily$",
    "dbt ls": r"(?m)^quotemill\.marts\.market\.kline_daily_qfq$",
}
# … and these after one
LOADED = {
    "dbt build": BUILT,
    "dbt source freshness": r"PASS freshness of raw_tdx\.trading_day",
    "dbt docs generate": r"Catalog written to",
    "dbt run-operation apply_hypertables": r"Registered adapter",
    "quotemill dbt run-operation apply_hypertables": r"Registered adapter",
    "quotemill dbt build -s kline_daily_qfq+": BUILT,
    "quotemill dbt build -s large_days": r"INSERT 0 0|MERGE 0",  # it has all rows by then
    "dbt retry": BUILT,
    # dbt reads all files again
    "dbt build --profiles-dir ~/.dbt --target dev --select +kline_weekly_qfq": BUILT,
}
# in tests/e2e/builds/test_findings.py and tests/e2e/test_pipeline.py, over more rows
ELSEWHERE = {"dbt test --select test_type:unit", "dbt test --select tag:whole_tables"}


def shown_commands(text: str) -> Iterator[str]:
    """The commands of dbt in code of a page, each once."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    for code in [*blocks, *(" ".join(span.split()) for span in spans)]:
        yield from (match.strip() for match in COMMAND.findall(code))


def test_every_command_of_dbt_on_a_page_is_run() -> None:
    shown = {
        command
        for page in PAGES
        if not str(page.relative_to(ROOT)).startswith(GENERATED)
        for command in shown_commands(page.read_text("utf-8"))
    }
    assert shown == {*UNLOADED, *LOADED, *ELSEWHERE}


def test_commands_are_read_from_blocks_and_from_text() -> None:
    text = "`cd x && dbt build`, `dbt test\n  -s a`, not `dbt.yml`\n```sh\n(dbt ls)  # all\n```\n"
    assert list(shown_commands(text)) == ["dbt ls", "dbt build", "dbt test -s a"]


@pytest.mark.long
def test_a_fresh_clone_parses_and_a_build_says_what_to_do() -> None:
    with checkout() as folder:
        shutil.copy(ROOT / "Makefile", folder)
        run(folder, "make dbt_project/profiles.yml")
        assert is_ours(folder / "dbt_project" / "profiles.yml")  # a load replaces it

        printed = {c: run(folder, f"cd dbt_project && {c}") for c in UNLOADED}
        assert {c: text for c, text in printed.items() if not re.search(UNLOADED[c], text)} == {}
        refusal = run(folder, "cd dbt_project && ! dbt build")
        assert "type make demo or quotemill run" in refusal
        assert not (folder / "user" / ".dbt").exists()


@pytest.mark.soak
@pytest.mark.timeout(1200)  # a busy machine takes ten minutes
def test_the_commands_of_dbt_do_what_their_page_says(parsed: Parsed) -> None:
    with checkout() as folder:
        project = folder / "dbt_project"
        settings = {"QUOTEMILL_HOME": str(folder / "home"), "DBT_WRITE_JSON": "false"}

        def type_in(command: str, **more: str) -> str:
            return run(folder, f"cd dbt_project && {command}", **settings | more)

        with sandbox("--codes", "6", "--days", "40") as url:
            type_in("loaders run tdx", QUOTEMILL_TDX__BASE_URL=url)
        parsed.adopt(project / "target", project)  # a fresh clone has read all files
        parsed.give(load_settings(environment(folder) | settings, folder))
        write_own_profile(project, Path(environment(folder)["HOME"]) / ".dbt")
        model = write_own_model(project, "large_days")

        printed = {}
        for command in LOADED:
            if command == "dbt retry":
                text = model.read_text("utf-8")
                model.write_text("select no_column from {{ ref('kline_daily') }}", "utf-8")
                type_in("! dbt build --select large_days", DBT_WRITE_JSON="true")
                model.write_text(text, "utf-8")
            printed[command] = type_in(command, DBT_WRITE_JSON=str("docs" in command))
        wrong = {c: text for c, text in printed.items() if not re.search(LOADED[c], text)}
        assert wrong == {}

        catalog, manifest = (
            json.loads((project / "target" / f"{name}.json").read_text("utf-8"))
            for name in ("catalog", "manifest")
        )
        assert set(catalog["sources"]) == set(manifest["sources"])
        assert all(c["type"] for s in catalog["sources"].values() for c in s["columns"].values())
        assert "market_dev.kline_weekly_qfq" in printed[next(c for c in LOADED if "dev" in c)]
        select = "select count(*) > 0 from market_dev.kline_weekly_qfq"
        assert "t\n" in type_in(f"quotemill warehouse psql -tAc '{select}'")


def write_own_profile(project: Path, folder: Path) -> None:
    """The profile of the page, with the server of the profile that the load wrote."""
    [example] = re.findall(r"```yaml\n(.*?)```", page(), re.DOTALL)
    profile = yaml.safe_load(example)
    written = yaml.safe_load((project / "profiles.yml").read_text("utf-8"))["quotemill"]
    output = profile["quotemill"]["outputs"]["dev"]
    output |= {k: v for k, v in written["outputs"]["warehouse"].items() if k != "schema"}
    folder.mkdir(parents=True)
    (folder / "profiles.yml").write_text(yaml.safe_dump(profile), "utf-8")


def write_own_model(project: Path, name: str) -> Path:
    """The model of the page."""
    [text] = re.findall(rf"```text\n-- dbt_project/(\S+/{name}\.sql)\n(.*?)```", page(), re.DOTALL)
    path = project / text[0]
    path.parent.mkdir()
    path.write_text(text[1], "utf-8")
    return path


def page() -> str:
    return (ROOT / "docs" / "how-to" / "dbt.md").read_text("utf-8")
