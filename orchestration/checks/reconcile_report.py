"""Report of a reconciliation: one Markdown file that a person can act on."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from loaders.files import whole_file
from loaders.trading_time import SHANGHAI
from orchestration.checks.bar_comparison import Difference
from orchestration.checks.reconcile import Reconciliation
from quotemill.errors import UsageError

SHOWN = 20  # differences of one cause in full

# the meaning of each cause, and its fix
CAUSES = {
    "vendor_unadjusted": "The third party's series is raw where an event should show: it silently "
    "stopped adjusting. Nothing of ours is wrong; do not use that series.",
    "late_corporate_action": "One side knows a corporate action that the other does not; "
    "the evidence names its day. Where ours lacks it, renew the corporate actions, "
    "or add a line of that day to their CSV file, and run again.",
    "vendor_at_another_day": "The third party's prices are adjusted as of an earlier day: "
    "it does not have our newest event yet.",
    "unfinished_bar": "One side's bar was still growing when it was read. Load and compare again "
    "after 15:05.",
    "missing_minutes": "Minutes are missing on our side, so what is built of them lacks them. "
    "`loaders run tdx --dataset minute_1m --codes …` reads such days again "
    "while the service has them.",
    "missing_days": "The other side has a day that we do not. "
    "`loaders run tdx --dataset kline_daily --mode init --codes …` reads whole histories again.",
    "missing_there": "We have a bar that the other side does not.",
    "noon_label": "The bar of 11:30 came labelled 13:00 with the minute 13:01 inside it, "
    "so one minute counts in the other half of the day. Known of the source.",
    "price_only_minutes": "Minutes that a fall-back route gave know one price and a volume, "
    "so open, high, low and turnover of what is built of them fall short.",
    "small_volume_decoding": "The service decodes volumes below 128 wrongly; "
    "the day bar says which value turnover confirms.",
    "first_week_of_year": "Weeks around New Year are cut differently by the other side.",
    "correction": "The day bars differ though both are complete: one side was corrected later.",
    "unexplained": "No known cause explains this; look at the rows themselves.",
}


def markdown(result: Reconciliation) -> str:
    """The whole report as Markdown."""
    parts = [
        f"# Reconciliation of {result.month:%Y-%m}, run {result.run_id}",
        _head(result),
        "## What was compared",
        _comparisons(result),
        "## What differs",
        _differences(result),
    ]
    if result.not_loaded:
        parts += ["## What could not be compared", _not_loaded(result)]
    return "\n\n".join(parts) + "\n"


def summary(result: Reconciliation) -> list[str]:
    """The report in a few lines."""
    lines = [
        f"{_name(c.check_name, c.period):<32} {_agreement(c.compared, c.agreeing)}"
        for c in result.comparisons
    ]
    for cause, rows in group_by_cause(result.differences):
        codes = sorted({d.code for d in rows})
        named = ", ".join(codes[:5]) + (f" and {len(codes) - 5} more" if len(codes) > 5 else "")
        lines.append(f"{_worst(rows)}: {cause}: {len(rows):,} of {named}")
    for dataset, by_code in result.not_loaded.items():
        lines.append(f"not loaded: {dataset}: {', '.join(sorted(by_code))}")
    if not result.differences:
        lines.append("nothing differs")
    return lines


def write(result: Reconciliation, path: Path) -> None:
    """Write the report. Raises UsageError if the file cannot be written."""
    with whole_file.explain_unwritable(path, error=UsageError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(markdown(result), "utf-8")


def group_by_cause(differences: Iterable[Difference]) -> list[tuple[str, list[Difference]]]:
    """Differences by likely cause, the most severe first, then the most frequent."""
    ordered = sorted(differences, key=lambda d: d.likely_cause)
    groups = [(cause, list(rows)) for cause, rows in groupby(ordered, lambda d: d.likely_cause)]
    return sorted(groups, key=lambda g: (RANK.get(_worst(g[1]), len(RANK)), -len(g[1]), g[0]))


RANK = {"error": 0, "warning": 1, "info": 2}


def _worst(rows: Sequence[Difference]) -> str:
    return min((d.severity for d in rows), key=lambda s: RANK.get(s, len(RANK)))


def _head(result: Reconciliation) -> str:
    return (
        f"- as of {result.as_of:%Y-%m-%d %H:%M} UTC; days {result.month} to {result.last_date}\n"
        f"- {len(result.codes)} of {result.candidates} codes that traded in the month, "
        f"seed {result.seed}: {', '.join(result.codes)}\n"
        "- times are of the exchange; every row: "
        f"`select * from qa.reconciliation where run_id = {result.run_id}`"
    )


def _comparisons(result: Reconciliation) -> str:
    lines = ["| check | bars | compared | agree | differ |", "|---|---|---:|---:|---:|"]
    lines += [
        f"| {c.check_name} | {c.period} | {c.compared:,} | {c.agreeing:,} | {c.differing:,} |"
        for c in result.comparisons
    ]
    nothing = [_name(c.check_name, c.period) for c in result.comparisons if not c.compared]
    if nothing:
        lines += ["", f"Compared nothing, because one side has no rows: {', '.join(nothing)}."]
    return "\n".join(lines)


def _differences(result: Reconciliation) -> str:
    if not result.differences:
        return "Nothing."
    parts = []
    for cause, rows in group_by_cause(result.differences):
        parts.append(f"### {cause}: {len(rows):,} ({_worst(rows)})")
        if cause in CAUSES:
            parts.append(CAUSES[cause])
        counts = Counter((d.code, d.check_name, d.period) for d in rows)
        parts.append(
            "\n".join(
                f"- {code}, {_name(check, period)}: {count:,}"
                for (code, check, period), count in sorted(counts.items())[:SHOWN]
            )
        )
        parts.append(_table(rows[:SHOWN]))
        if len(rows) > SHOWN:
            parts.append(
                f"… and {len(rows) - SHOWN:,} more: `select * from qa.reconciliation "
                f"where run_id = {result.run_id} and likely_cause = '{cause}'`"
            )
    return "\n\n".join(parts)


def _table(rows: Sequence[Difference]) -> str:
    lines = [
        "| code | check | bar | field | ours | theirs | difference | evidence |",
        "|---|---|---|---|---:|---:|---:|---|",
    ]
    for d in rows:
        bar = f"{d.bar_end.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        names = [d.code, _name(d.check_name, d.period), bar, d.field]
        values = map(_format, (d.ours, d.theirs, d.difference, d.evidence))
        lines.append(f"| {' | '.join([*names, *values])} |")
    return "\n".join(lines)


def _not_loaded(result: Reconciliation) -> str:
    lines = []
    for dataset, by_code in result.not_loaded.items():
        lines += [f"- {dataset}, {code}: {why}" for code, why in sorted(by_code.items())[:SHOWN]]
        if len(by_code) > SHOWN:
            lines.append(f"- {dataset}: … and {len(by_code) - SHOWN:,} more codes")
    return "\n".join(lines)


def _name(check: str, period: str) -> str:
    return f"{check} {period}"


def _agreement(compared: int, agreeing: int) -> str:
    return f"{agreeing:,} of {compared:,} bars agree" if compared else "compared nothing"


def _format(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return "" if value is None else str(value).replace("|", "\\|")
