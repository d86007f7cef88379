"""Bars that a client's folder has no longer."""

import pytest

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.sandbox.tdx.folder_faults import lose_exchange
from tests.integration.tdx_load.folder import (
    BARS,
    RECORD,
    ClientFolder,
)


@pytest.mark.long
def test_a_file_without_stored_days_lands_nothing_an_older_one_is_no_fault(
    folder: ClientFolder,
) -> None:
    folder.write()
    bench, file = folder.load(), folder.day_file()
    before, whole = bench.rows(BARS), file.read_bytes()
    file.write_bytes(whole[:-128] + whole[-32:])
    result = bench.load()
    assert result.exit_code == 6
    assert "lacks 3 stored days" in str(result.tasks)
    assert bench.rows(BARS) == before

    file.write_bytes(whole[: -RECORD * 5])
    assert bench.load().exit_code == 0
    assert any(f"{file.name} shrank" in line for line in bench.heard.lines)
    assert bench.rows(BARS) == before

    file.write_bytes(b"")
    assert bench.load().exit_code == 6
    assert any(f"{file.name} holds no bar, and had " in line for line in bench.heard.lines)
    accepted = bench.load(datasets=("kline_daily",), accept_loss=True)
    assert (accepted.exit_code, bench.load().exit_code) == (0, 0)
    assert bench.rows(BARS) == before


@pytest.mark.long
def test_files_that_are_gone_are_a_failure_of_their_codes_until_accepted(
    folder: ClientFolder,
) -> None:
    folder.write()
    write_client_files(folder.market, folder.path / "T0002" / "hq_cache")
    bench = folder.load()
    files = {file.stem for file in (folder.path / "vipdoc/sz/lday").glob("*.day")}
    lost = {code for (code,) in bench.rows("select distinct code from raw_tdx.kline_daily")} & files
    before = bench.rows(BARS)
    lose_exchange(folder.path / "vipdoc", "sz")
    # that another part cannot be read hides the loss of no file
    unreadable, aside = folder.path / "vipdoc/bj", folder.path / "bj"
    unreadable.rename(aside)
    unreadable.symlink_to("bj")

    refused = bench.load()

    assert refused.exit_code == 6
    failed = {task.dataset: dict(task.failures) for task in refused.tasks if task.failures}
    assert failed.keys() == {"codes", "kline_daily", "index_kline"}
    [unread] = failed["codes"].values()
    assert unread.startswith(f"{unreadable} cannot be read: ")
    assert failed["kline_daily"].keys() == lost
    [reason] = {*failed["kline_daily"].values()}
    assert f"vipdoc/sz: {len(lost)} files of day bars that were read before are gone" in reason
    assert "loaders run tdx --dataset kline_daily --accept-loss" in reason
    [(index, reason)] = failed["index_kline"].items()
    assert index == "sz399001"
    assert "loaders run tdx --dataset index_kline --accept-loss" in reason
    said = [line for line in bench.heard.lines if "read before" in line]
    assert len(said) == 3  # the first stock, how many others, and the index
    assert bench.rows(BARS) == before
    unreadable.unlink()
    aside.rename(unreadable)

    accepted = bench.load(datasets=("kline_daily", "index_kline"), accept_loss=True)
    assert accepted.exit_code == 0
    assert sum("accepted by" in text and "vipdoc/sz" in text for text in accepted.warnings) == 2
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
    for exchange in ("sh", "sz", "bj"):
        lose_exchange(folder.path / "vipdoc", exchange)

    result = bench.load()

    assert result.exit_code == 6
    failed = {task.dataset: len(task.failures) for task in result.tasks if task.failures}
    assert failed.keys() == {"codes", "kline_daily", "index_kline"}
    codes = "select distinct code from raw_tdx.kline_daily"
    shown = sum(len(task.failures) for task in result.tasks if task.dataset == "kline_daily")
    assert shown == len(bench.rows(codes))
