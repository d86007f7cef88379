"""Bars that a client's folder has no longer."""

import shutil

import pytest

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.tdx.client.answers import EXCHANGES
from tests.integration.tdx_load.folder import BARS, RECORD, ClientFolder, failures

SUSPENDED = "select count(*) from raw_tdx.answer_gap"


@pytest.mark.long
def test_a_file_without_stored_days_lands_nothing_an_older_one_is_no_fault(
    folder: ClientFolder,
) -> None:
    folder.write()
    bench, file = folder.load(), folder.day_file()
    before, whole = bench.rows(BARS), file.read_bytes()
    suspended = bench.rows(SUSPENDED)
    file.write_bytes(whole[:-128] + whole[-32:])
    result = bench.load()
    assert result.exit_code == 6
    [why] = failures(result).values()
    assert file.name in why
    assert " 3 of " in why
    assert bench.rows(BARS) == before

    file.write_bytes(whole[:-64] + whole[-32:])
    few = bench.load()
    assert few.exit_code == 0
    [warning] = [text for text in few.warnings if "stored days" in text]
    assert file.name in warning
    assert " 1 of " in warning
    assert bench.rows(BARS) == before
    assert bench.rows(SUSPENDED) == suspended

    file.write_bytes(whole[: -RECORD * 5])
    assert bench.load().exit_code == 0
    assert any(f"{file.name} shrank" in line for line in bench.heard.lines)
    assert bench.rows(BARS) == before

    file.write_bytes(b"")
    assert bench.load().exit_code == 6
    accepted = bench.load(datasets=("kline_daily",), accept_loss=True)
    assert (accepted.exit_code, bench.load().exit_code) == (0, 0)
    assert bench.rows(BARS) == before


@pytest.mark.long
def test_files_that_are_gone_are_one_failure_until_accepted(folder: ClientFolder) -> None:
    folder.exchanges = EXCHANGES
    folder.write()
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    bench = folder.load()
    count = len(list((folder.path / "vipdoc/sz/lday").glob("*.day")))
    before, part = bench.rows(BARS), folder.path / "vipdoc/sz"
    part.rename(folder.path / "sz")
    assert bench.load().exit_code == 6
    (folder.path / "sz").rename(part)
    assert bench.load().exit_code == 0
    shutil.rmtree(folder.path / "vipdoc/sz")
    # files of another part, which cannot be read, are not gone
    unreadable, aside = folder.path / "vipdoc/bj", folder.path / "bj"
    unreadable.rename(aside)
    unreadable.symlink_to("bj")

    refused = bench.load()

    assert refused.exit_code == 6
    [failure] = [why for task in refused.tasks for why in task.failures.values()]
    assert f"cannot read {unreadable}: " in failure
    assert f"vipdoc/sz/lday lacks {count} of {count}" in failure
    assert "vipdoc/bj/lday" not in failure
    assert bench.rows(BARS) == before
    unreadable.unlink()
    aside.rename(unreadable)
    assert bench.load().exit_code == 6

    accepted = bench.load(datasets=("codes",), accept_loss=True)
    assert accepted.exit_code == 0
    assert any("accepted by" in text and "vipdoc/sz" in text for text in accepted.warnings)
    assert bench.load().exit_code == 0
    assert bench.rows(BARS) == before


def test_a_folder_that_has_no_bars_yet_is_no_loss(folder: ClientFolder) -> None:
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    bench = folder.load()
    assert bench.rows("select count(*) from raw_tdx.kline_daily") == [(0,)]
    assert bench.rows("select count(*) > 0 from raw_tdx.security") == [(True,)]
    assert bench.load().exit_code == 0


def test_an_emptied_folder_of_bars_is_a_failure(folder: ClientFolder) -> None:
    folder.write()
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    bench = folder.load()
    shutil.rmtree(folder.path / "vipdoc/sh")

    result = bench.load()

    assert result.exit_code == 6
    assert [task.dataset for task in result.tasks if task.failures] == ["codes"]
