"""The figures of what ran as a text file for Prometheus: what node_exporter's textfile collector reads.

A command replaces its own figures and leaves those of others: `quotemill run tdx` and `loaders run ib` share the
file. It appears whole, under its name, or not at all.
"""

import fcntl
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from loaders import atomic_file
from loaders.errors import SettingsError

if TYPE_CHECKING:
    from loaders.engine.metrics import Metric

_SAMPLE = re.compile(r"(?P<series>(?P<name>quotemill_[a-z0-9_]+)(?:\{.*\})?) (?P<value>\S+)")


def write(file: Path, samples: Mapping[str, str]) -> None:
    """Put samples, by series, in the place of what the file has of these. Raises SettingsError where it cannot be
    written."""
    try:
        with _alone(file.parent):
            atomic_file.write(
                file,
                _text({**_read(file), **samples}),
                mode=0o644,  # the collector is another user
            )
    except OSError as error:
        raise SettingsError(
            f"metrics_file {file} cannot be written: {error.strerror}",
            hint="its folder must be there, and writable for the user of quotemill",
        ) from None


def of_metrics(metrics: Iterable["Metric"]) -> dict[str, str]:
    """Samples of figures: the newest of a stage and source is what the file has."""
    return {_series(_name(m), {"source": m.source}): _number(m.value) for m in metrics}


def of_run(
    command: str, started_at: datetime, ended_at: datetime, exit_code: int
) -> dict[str, str]:
    """Samples of a run as a whole: when it ended, and, where it failed, still when it last did not."""
    ended = ended_at.timestamp()
    figures: dict[str, float | int] = {
        "end_timestamp_seconds": ended,
        "duration_seconds": round(ended - started_at.timestamp(), 3),
        "exit_code": exit_code,
        **({} if exit_code else {"success_timestamp_seconds": ended}),
    }
    by = {"command": command}
    return {_series(f"quotemill_run_{name}", by): _number(v) for name, v in figures.items()}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else takes what is in the file, adds to it and puts it back meanwhile."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _text(samples: Mapping[str, str]) -> str:
    lines = []
    for name in sorted({series.partition("{")[0] for series in samples}):
        lines.append(f"# HELP {name} {_help(name)}")
        lines.append(f"# TYPE {name} gauge")
        lines += [
            f"{series} {value}"
            for series, value in sorted(samples.items())
            if series.partition("{")[0] == name
        ]
    return "\n".join([*lines, ""])


def _name(metric: "Metric") -> str:
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
