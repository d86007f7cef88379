"""The text file for Prometheus: its form, that runs share it, that it is whole."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from loaders.engine import prometheus
from loaders.engine.metrics import Metric
from loaders.engine.prometheus import Sample
from loaders.settings import load_settings
from quotemill.errors import SettingsError
from tests.e2e.commands import Place
from tests.requirements import require

BEGUN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ENDED = BEGUN + timedelta(seconds=12.5)


def run_of(command: str, exit_code: int, *figures: Metric, later: int = 0) -> list[Sample]:
    ended = ENDED + timedelta(seconds=later)
    run = prometheus.sample_run(command, BEGUN, ended, exit_code)
    return [*run, *prometheus.sample_metrics(figures)]


def samples(file: Path) -> dict[str, float]:
    lines = [line for line in file.read_text().splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def test_a_run_replaces_its_own_figures_and_leaves_those_of_others(tmp_path: Path) -> None:
    file = tmp_path / "quotemill.prom"
    prometheus.write(file, run_of("run ib", 0, Metric("load", "ib", "rows_new", 5)))
    tdx = run_of(
        "run tdx", 0, Metric("load", "tdx", "rows_new", 3), Metric("build", "", "seconds", 0.5)
    )
    prometheus.write(file, tdx)
    prometheus.write(file, run_of("run tdx", 6, Metric("load", "tdx", "rows_new", 1), later=60))
    values = samples(file)
    assert values['quotemill_load_rows_new{source="ib"}'] == 5
    assert values['quotemill_load_rows_new{source="tdx"}'] == 1
    assert values["quotemill_build_seconds"] == 0.5
    assert values['quotemill_run_exit_code{command="run tdx"}'] == 6
    assert values['quotemill_run_duration_seconds{command="run ib"}'] == 12.5
    # of a run that failed it stays where it was
    assert values['quotemill_run_success_timestamp_seconds{command="run tdx"}'] == ENDED.timestamp()
    assert (
        values['quotemill_run_end_timestamp_seconds{command="run tdx"}'] == ENDED.timestamp() + 60
    )


def test_each_name_has_one_help_and_one_type_before_its_samples(tmp_path: Path) -> None:
    file = tmp_path / "quotemill.prom"
    for source in ("tdx", "ib"):
        figures = [Metric("load", source, name, 1) for name in ("seconds", "bytes", "rows_new")]
        prometheus.write(file, run_of(f"run {source}", 0, *figures))
    text = file.read_text()
    assert text.endswith("\n")
    named = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(named) == len(set(named)) == 7
    seen: list[str] = []
    for line in text.splitlines():
        name = line.split()[2] if line.startswith("#") else line.partition("{")[0].split()[0]
        seen += [] if seen[-1:] == [name] else [name]
    assert sorted(seen) == sorted(named)  # samples of a name stand together
    assert file.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["quotemill.prom"]


def test_commands_that_end_together_lose_no_figure(tmp_path: Path) -> None:
    file = tmp_path / "quotemill.prom"

    def write(number: int) -> None:
        prometheus.write(file, [Sample("quotemill_load_rows_new", 1, ("source", str(number)))])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(80)))
    assert len(samples(file)) == 80


@pytest.mark.parametrize("metrics_file", ["quotemill.prom", "none/quotemill.prom"])
def test_a_command_that_is_a_job_writes_its_figures_though_the_warehouse_is_away(
    metrics_file: str, tmp_path: Path
) -> None:
    file = tmp_path / metrics_file
    settings = {
        "QUOTEMILL_WAREHOUSE_URL": "postgresql://127.0.0.1:1/none",
        "QUOTEMILL_METRICS_FILE": str(file),
    }
    done = Place(tmp_path, tmp_path / "home", settings).inside("quotemill", "logscan", "ib")
    assert done.returncode == 5, done.stderr  # nothing ran
    if file.parent.is_dir():
        assert samples(file)['quotemill_logscan_exit_code{source="ib"}'] == 5
    else:
        assert f"metrics_file {file} cannot be written" in done.stderr


def test_promtool_accepts_it(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    require("promtool", promtool is not None, "promtool is not installed")
    file = tmp_path / "quotemill.prom"
    prometheus.write(file, run_of('run "x\\', 0, Metric("load", "tdx", "seconds", 1e-7)))
    done = subprocess.run(
        [str(promtool), "check", "metrics"], input=file.read_bytes(), capture_output=True
    )
    assert done.returncode in (0, 3), done.stderr  # 3: a matter of taste
    assert b"error" not in done.stderr.lower()


def test_what_is_no_file_of_ours_gives_way(tmp_path: Path) -> None:
    file = tmp_path / "quotemill.prom"
    file.write_bytes(b"\xff\xfe not text\nquotemill_x 1\n")
    prometheus.write(file, run_of("run", 0))
    assert 'quotemill_run_exit_code{command="run"} 0.0' in file.read_text()


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be written: No such file"):
        prometheus.write(tmp_path / "none" / "quotemill.prom", run_of("run", 0))


def test_a_name_that_the_collector_does_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"must end in \.prom"):
        load_settings({"QUOTEMILL_METRICS_FILE": "figures.txt"}, cwd=tmp_path)
