"""The blocks of the pages of options and futures, run in order as they are written."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loaders.settings import load_settings
from loaders.ticks.questdb.jar import cached_jar
from tests.dbt_parse import Parsed
from tests.e2e.commands import ROOT, printed_sandbox
from tests.e2e.pages import (
    FUTURES,
    IB_SANDBOX,
    INDICES,
    OF_A_SERVER,
    OPTIONS,
    QUESTDB,
    TQ_SANDBOX,
    join,
)
from tests.e2e.terminal import checkout, environment, first_terminal, free_port, run
from tests.e2e.test_pages import MAKE, SET_UP
from tests.integration.ticks.servers import require_questdb
from tests.requirements import require


@pytest.mark.long
def test_options_run_as_written(new_database: Callable[..., str]) -> None:
    present = importlib.util.find_spec("ib_insync") or importlib.util.find_spec("ib_async")
    require("ib", present is not None, "the extra ib is not installed")
    with checkout() as folder:
        with first_terminal(folder, join(IB_SANDBOX).strip() + " --port 0", 3) as terminal:
            assert terminal["QUOTEMILL_IB__CLOCK"] == "gateway"
        (folder / "docs" / "how-to").mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs" / "how-to" / "ib-smoke.toml", folder / "docs" / "how-to")
        with beside_a_gateway(join(*OPTIONS)) as (script, settings):
            words = {
                "--run-day": "--run-day --dry-run",  # it would stay until the close
                # refused before the day after
                "enrich --date 2026-11-19": "enrich --date 2026-11-19 || test $? = 2",
                "AAPL,BRK_B": "AAPL",
            }
            for word, own in words.items():
                assert word in script
                script = script.replace(word, own)
            url = {"QUOTEMILL_WAREHOUSE_URL": new_database()}
            assert "has been captured" in run(folder, MAKE + script, **settings, **url)
        assert (folder / "var" / "ib-smoke").is_dir()

        listed = "symbol,weight,group,enabled,sec_type,exchange\nVIX,200,I,true,IND,\n"
        (folder / "universe.csv").write_text(listed)
        with beside_a_gateway(join(INDICES), "--clock", "2026-11-19T10:00:00") as given:
            script, settings = given
            url = {"QUOTEMILL_WAREHOUSE_URL": new_database()}
            assert "succeeded" in run(folder, script, **settings, **url)


@contextmanager
def beside_a_gateway(words: str, *more: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A script without the line for another terminal, whose sandbox runs, and its settings."""
    lines = words.splitlines(keepends=True)
    [started] = [line for line in lines if line.startswith("loaders sandbox ib")]
    options = started.partition("#")[0].split()[3:]
    script = "".join(line for line in lines if line != started)
    quick = ("--fault", "latency:seconds=0")
    with printed_sandbox("ib", 3, *options, *more, *quick) as (_, printed):
        settings = {f"QUOTEMILL_IB__{n}": v for n, v in printed.items() if n.isupper()}
        yield script.replace("4002", printed["PORT"]), settings


@pytest.mark.long
def test_a_server_for_ticks_is_run_as_written() -> None:
    require_questdb()
    settings = {
        "QUOTEMILL_QUESTDB__JAR": str(cached_jar()),
        "QUOTEMILL_QUESTDB__PORT": free_port(),
        "QUOTEMILL_QUESTDB__HEAP": "256m",
    }
    with checkout() as folder:
        # it asks on a terminal
        blocks = [join(block) for block in QUESTDB]
        blocks[-1] = blocks[-1].replace("questdb remove", "questdb remove --yes")
        # one on another machine is only its address
        named = join(OF_A_SERVER).replace(
            "questdb.example:9000", "127.0.0.1:$QUOTEMILL_QUESTDB__PORT"
        )
        blocks.insert(-1, f"({named}env | grep QUESTDB; quotemill questdb --help)\n")
        assert "9.3.4" in run(folder, SET_UP + "".join(blocks), **settings)


@pytest.mark.long
def test_futures_run_as_written(new_database: Callable[..., str], parsed: Parsed) -> None:
    present = importlib.util.find_spec("tqsdk") and importlib.util.find_spec("aiohttp")
    require("tq", bool(present), "the extra tq is not installed")
    with checkout() as folder:
        started = join(TQ_SANDBOX).replace("7788", "0 --fault slow:seconds=0")
        with first_terminal(folder, started, 5) as settings:
            words = {
                "somebody": settings["QUOTEMILL_TQ__ACCOUNT"],
                "...": settings["QUOTEMILL_TQ__PASSWORD"],
                "SHFE.cu,DCE.m": "SHFE.cu",
                "START=2025-11-10": "START=2025-12-08",
            }
            script = SET_UP + join(*FUTURES)
            # by the sandbox's clock, as its own page has it
            script = script.replace("run tq", "run tq --as-of 2025-12-12T18:00")
            for word, own in words.items():
                assert word in script
                script = script.replace(word, own)
            url = {"QUOTEMILL_WAREHOUSE_URL": new_database()}
            home = folder / "var" / "futures"
            parsed.give(load_settings(environment(folder) | url, folder, home=home))
            printed = run(folder, script, **url, **settings)
        assert printed.count("(5 rows)") >= 1
