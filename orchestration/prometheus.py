"""The figures of runs as a text file for Prometheus: what node_exporter's textfile collector reads.

A run replaces its own figures and leaves those of other runs: `quotemill run tdx` and `quotemill run ib` share
the file. It appears whole, under its name, or not at all.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from loaders import whole_file
from loaders.engine.metrics import Metric
from loaders.errors import SettingsError
from orchestration.runs import Run

_SAMPLE = re.compile(r"(?P<series>(?P<name>quotemill_[a-z0-9_]+)(?:\{.*\})?) (?P<value>\S+)")


def write(file: Path, run: Run, ended: float) -> None:
    """Write the figures of a run that ended at `ended`, in seconds since 1970.

    Raises SettingsError where the file cannot be written.
    """
    samples = _read(file) | dict(_samples(run, ended))
    lines = []
    for name in sorted({series.partition("{")[0] for series in samples}):
        lines.append(f"# HELP {name} {_help(name)}")
        lines.append(f"# TYPE {name} gauge")
        lines += [
            f"{series} {value}"
            for series, value in sorted(samples.items())
            if series.partition("{")[0] == name
        ]
    try:
        whole_file.write(file, "\n".join([*lines, ""]), mode=0o644)  # the collector is another user
    except OSError as error:
        raise SettingsError(
            f"metrics_file {file} cannot be written: {error.strerror}",
            hint="its folder must be there, and writable for the user of quotemill",
        ) from None


def _samples(run: Run, ended: float) -> Iterable[tuple[str, str]]:
    of_run = {
        "end_timestamp_seconds": ended,
        "duration_seconds": round(ended - run.started_at.timestamp(), 3),
        "exit_code": run.exit_code or 0,
    }
    if run.exit_code == 0:
        of_run["success_timestamp_seconds"] = ended
    for name, value in of_run.items():
        yield _series(f"quotemill_run_{name}", {"command": run.command}), _number(value)
    for metric in run.metrics:
        yield _series(_name(metric), {"source": metric.source}), _number(metric.value)


def _name(metric: Metric) -> str:
    """By Prometheus' rules for names: the unit comes last."""
    return f"quotemill_{metric.stage}_{metric.name}"


def _series(name: str, labels: Mapping[str, str]) -> str:
    shown = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items() if value)
    return f"{name}{{{shown}}}" if shown else name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float | int) -> str:
    return repr(value)


def _help(name: str) -> str:
    stage, _, rest = name.removeprefix("quotemill_").partition("_")
    whose = "the last run" if stage == "run" else f"stage {stage} of the last run that had it"
    return f"{rest.replace('_', ' ')} of {whose}."


def _read(file: Path) -> dict[str, str]:
    """The samples of a file, by series; none of a file that is not there or not ours."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {m["series"]: m["value"] for line in lines if (m := _SAMPLE.fullmatch(line))}
