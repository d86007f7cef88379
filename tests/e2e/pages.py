"""The blocks of README and the pages as scripts, and those that no test runs, with why."""

import re
import textwrap
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.e2e.commands import ROOT

HOW_TO = ROOT / "docs" / "how-to"
# without the Chinese pages, whose blocks are the same: tests/unit/test_translations.py
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "quickstart.md",
    ROOT / "docs" / "tutorial.md",
    *sorted(set(HOW_TO.glob("*.md")) - set(HOW_TO.glob("*.zh-CN.md"))),
]
PSQL = "quotemill warehouse psql"
# (page, beginning of a block): of no scene, because …
NOT_RUN = {
    ("packages", "export QUOTEMILL_TDX__DOWNLOAD=true"): "as README's block of packages",
    (
        "packages",
        "loaders sandbox",
    ): "two terminals; tests/integration/tdx_load/test_packages loads from the stand-in",
    ("packages", "mkdir"): "needs the vendor's zip; test_packages continues a folder",
    ("quote-servers", "export"): "as README's block of quote servers",
    ("quote-servers", "loaders run"): "runs for hours; test_servers_settings requests it",
    ("quote-servers", "quotemill retry"): "needs servers that failed; test_quote_servers has them",
    (
        "integrations",
        "quotemill export views",
    ): "needs option chains too; tests/integration/dbt/test_compat_views reads the views",
    ("citus", ""): "needs a cluster; tests/e2e/editions/test_citus distributes tables of one",
    (
        "client-folder",
        "unzip",
    ): "needs the vendor's zips; tests/integration/tdx_load/test_client_forms loads unpacked ones",
    ("console", "quotemill console"): "serves until Ctrl-C; tests/e2e/console starts it",
    ("console", "TOKEN="): "needs a console that runs; tests/e2e/console/test_loads calls it",
    ("console", "curl"): "needs a console that runs; tests/e2e/console calls it",
    ("console", "ssh"): "needs another machine",
    (
        "exports",
        "rclone sync",
    ): "needs a bucket and its tools",
    ("futures", "export QUOTEMILL_QUESTDB_URL"): "needs a server; tests/integration/ticks has one",
    ("futures", "loaders run tq && "): "what `quotemill run tq` does at once; e2e/tq runs both",
    ("dbt", "quotemill build"): "takes minutes; the same commands run in other scenes",
    ("dbt", "quotemill dbt"): "tests/e2e/test_dbt_commands runs it",
    ("dbt", "dbt test"): "test_findings and test_pipeline run it",
    ("integrations", "grant usage"): "tests/integration/dbt/test_grafana runs it",
    ("install", ""): "fetches packages; tests/e2e/test_installed_package installs a wheel",
    ("install", "POSTGRES_PASSWORD="): "the content of a file; test_installed_package reads it",
    ("install", "docker"): "needs Docker; the same commands run in other scenes",
    ("install", "echo"): "the content of a file, and needs Docker",
    ("install", "git rev-parse"): "fetches a version",
    ("install", "systemctl"): "stops the jobs of this machine",
    ("install", "quotemill"): "the same commands run in other scenes",
    ("install", "userdel"): "needs a system user",
    ("install", "select schema_name"): "tests/integration/warehouse reads this table",
    (
        "checks",
        "quotemill loads --follow",
    ): "needs a load that runs; test_loads_command, test_cancel_and_retry have one",
    (
        "futures",
        "loaders run tq --mode live",
    ): "waits for a session; tests/integration/tq/test_live has one",
    (
        "integrations",
        "python3 -m venv",
    ): "fetches packages; openlineage-dbt 1.54.0 was tried by hand, as the page says",
    ("integrations", "quotemill warehouse url"): "as the block above it",
    ("integrations", "unset OPENLINEAGE_URL"): "as the block above it",
    ("integrations", "quotemill dbt"): "as the block above it",
    (
        "integrations",
        ". .venv/bin/activate",
    ): "installs Jupyter; tests/integration/dbt/test_python_reader runs the cell",
    (
        "python",
        "select\n    code",
    ): "tests/integration/dbt/test_reader_periods runs it on each table",
    ("operations", "make install"): "fetches packages; test_installed_package installs a wheel",
    (
        "operations",
        "loaders run tdx --codes",
    ): "a load and a run, as those of README and tutorial",
    (
        "operations",
        "quotemill schedule simulate",
    ): "starts a service of systemd; tests/e2e/test_schedule_command installs one",
    (
        "operations",
        "quotemill backup\nsystemctl",
    ): "fetches packages; tests/integration/warehouse/test_migrations upgrades one",
    ("README", "git clone"): "needs an address",
    ("quickstart", "git clone"): "needs an address, and fetches packages",
    ("quickstart", "make demo"): "as the first way of README",
    ("quickstart", "export QUOTEMILL_HOME"): "as the first way of README",
    ("quickstart", "unset"): "as README's block of a client's folder",
    ("quickstart", "quotemill"): "as README's block of a client's folder",
    ("client-folder", "export"): "as README's block of a client's folder",
    ("orchestrators", "loaders run tdx"): "fails, as the page shows",
    ("orchestrators", "quotemill"): "the same commands run in other scenes",
    (
        "orchestrators",
        "make dagster",
    ): "serves until Ctrl-C; tests/integration/dagster loads the definitions",
    ("orchestrators", "kill"): "as the block above it",
    ("orchestrators", "export"): "as the block above it",
    ("questdb", "quotemill retention"): "tests/integration/ticks/test_packing packs old days",
    (
        "integrations",
        "quotemill warehouse stop",
    ): "opens a port; tests/integration/warehouse/test_reader_access reads there",
    (
        "checks",
        "quotemill reconcile",
    ): "takes minutes; tests/faults/tdx/test_reconcile compares every dataset",
    ("scale", "quotemill schedule uninstall"): "the same commands run in other scenes",
    ("timescaledb", "quotemill dbt"): "tests/e2e/test_dbt_commands runs it",
    ("timescaledb", "select hypertable_name"): "needs TimescaleDB's community edition",
    ("timescaledb", "select view_name"): "needs TimescaleDB's community edition",
    (
        "timescaledb",
        "quotemill warehouse upgrade-timescale",
    ): "tests/integration/dbt/editions/test_daily_hypertables converts day bars",
    (
        "warehouse",
        "quotemill warehouse psql -c",
    ): "stops the server; tests/integration/warehouse/test_server_sizes sets sizes so",
    ("warehouse", "export QUOTEMILL_HOME"): "tests/integration/warehouse has a home of its own",
    ("warehouse", "export QUOTEMILL_MARKET"): "tests/integration/dbt builds another market schema",
    (
        "warehouse",
        "psql -c",
    ): "needs a superuser of TimescaleDB; test_dump_of_hypertables restores into such a database",
}
# run beside the rows that they need: tests/e2e/archive/test_page.py and
# tests/integration/ticks/test_pages.py
ARCHIVE = [("archive", "quotemill archive"), ("archive", "-- DuckDB"), ("archive", "quotemill res")]
IN_QUESTDB = [("questdb", "select"), ("futures", "select ts"), ("questdb", "drop")]

QUESTDB = [
    ("questdb", "make install"),
    ("questdb", "quotemill questdb stop"),
]
OF_A_SERVER = ("questdb", "export QUOTEMILL_QUESTDB_URL")

# run with the other commands of dbt: tests/e2e/test_dbt_commands.py
DBT = [("dbt", "dbt parse"), ("dbt", "dbt build --prof"), ("dbt", "quotemill dbt build -s")]

IB_SANDBOX = ("sandbox-ib", "loaders sandbox ib")
OPTIONS = [
    ("options", "make install"),
    ("options", "export QUOTEMILL_CONFIG"),
    ("options", "loaders run ib --task daily"),
    ("options", "loaders run ib --task snapshot"),
]
INDICES = ("options", "export QUOTEMILL_IB__UNIVERSE")
TQ_SANDBOX = ("sandbox-tq", "loaders sandbox tq")
FUTURES = [
    ("futures", "make install"),
    ("sandbox-tq", "export QUOTEMILL_HOME"),
    ("futures", "quotemill run tq"),
    ("futures", "loaders check tq"),
    ("futures", "select * from futures.main"),
    ("futures", "select start_at, close, close_back_ratio from futures.main_15m"),
]


@dataclass(frozen=True)
class Block:
    """A block of a page: `page` is its name without suffix, `language` sh or sql."""

    page: str
    language: str
    body: str

    @property
    def script(self) -> str:
        """Commands that end a script which stops at its first failure."""
        if self.language == "sh":
            return self.body
        return f"{PSQL} -v ON_ERROR_STOP=1 <<'SQL'\n{self.body}\n;\nSQL\n"


def read_blocks() -> list[Block]:
    """Every block for a shell or for SQL; SQL below a bare psql is its input."""
    blocks: list[Block] = []
    for page in PAGES:
        fences = re.findall(
            r"^ *```(sh|sql)\n(.*?)^ *```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        for language, text in fences:
            block = Block(page.stem, language, textwrap.dedent(text))
            if language == "sql" and blocks and blocks[-1].body.strip() == PSQL:
                block = Block(page.stem, "sh", Block(page.stem, "sql", block.body).script)
                blocks.pop()
            blocks.append(block)
    return blocks


def find(page: str, beginning: str) -> Block:
    """The first block of a page that begins so; `*` stands for any text."""
    return next(b for b in read_blocks() if b.page == page and fnmatchcase(b.body, f"{beginning}*"))


def join(*scene: tuple[str, str]) -> str:
    """One script of the blocks of a scene."""
    return "".join(find(*name).script for name in scene)
