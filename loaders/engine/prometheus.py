"""The figures of runs as a text file for node_exporter's textfile collector.

A command replaces its own figures and leaves those of others: `quotemill run tdx` and
`loaders run ib` share the file. It appears whole, under its name, or not at all.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from loaders.files import lock, whole_file

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

    from loaders.engine.metrics import Metric

PREFIX = "quotemill_"


@dataclass(frozen=True)
class Sample:
    """A figure by Prometheus' rules for names: the unit comes last. One label, or none."""

    name: str
    value: float
    label: tuple[str, str] | None = None


def write(file: Path, samples: Iterable[Sample]) -> None:
    """Put samples in the place of earlier ones of the same name and label.

    Raises SettingsError where the file cannot be written.
    """
    from prometheus_client import generate_latest

    hint = "its folder must exist and be writable for the user of quotemill"
    with (
        whole_file.explain_unwritable(f"metrics_file {file}", hint=hint),
        # no other command reads and replaces the file meanwhile
        lock.hold(file.parent, wait=math.inf, is_folder=True),
    ):
        merged = {(s.name, s.label): s for s in [*_read_samples(file), *samples]}
        text = generate_latest(_Families(merged.values())).decode("utf-8")
        whole_file.write(file, text, mode=0o644)  # another user than ours collects it


def sample_metrics(metrics: Iterable["Metric"]) -> list[Sample]:
    """Samples of figures: the file has the newest of each stage and source."""
    return [
        Sample(
            f"{PREFIX}{m.stage}_{m.name}",
            float(m.value),
            ("source", m.source) if m.source else None,
        )
        for m in metrics
    ]


def sample_run(
    command: str, started_at: datetime, ended_at: datetime, exit_code: int
) -> list[Sample]:
    """Samples of a whole run: when it ended and, where it failed, still when it last succeeded."""
    ended = ended_at.timestamp()
    figures = {
        "end_timestamp_seconds": ended,
        "duration_seconds": round(ended - started_at.timestamp(), 3),
        "exit_code": exit_code,
        **({} if exit_code else {"success_timestamp_seconds": ended}),
    }
    label = ("command", command)
    return [Sample(f"{PREFIX}run_{name}", value, label) for name, value in figures.items()]


class _Families:
    """Samples as a registry of gauges."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = sorted(samples, key=lambda s: (s.name, s.label or ("", "")))

    def collect(self) -> "Iterator[Family]":
        from prometheus_client.core import GaugeMetricFamily

        for name, samples in groupby(self._samples, key=lambda s: s.name):
            family = GaugeMetricFamily(name, _help(name))
            for sample in samples:
                family.add_sample(name, dict([sample.label] if sample.label else []), sample.value)
            yield family


def _read_samples(file: Path) -> Iterator[Sample]:
    """Our samples in a file; none of a missing file or of one that is not in the format."""
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(file.read_text("utf-8")))
    except (OSError, ValueError):
        return
    for family in families:
        for name, labels, value, *_ in family.samples:
            if name.startswith(PREFIX):
                yield Sample(name, value, next(iter(labels.items()), None))


def _help(name: str) -> str:
    stage, _, rest = name.removeprefix(PREFIX).partition("_")
    run = "the last run" if stage == "run" else f"stage {stage} of the last run that had it"
    return f"{rest.replace('_', ' ')} of {run}."
