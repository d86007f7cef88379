"""Progress of loads and builds, on a terminal and elsewhere."""

import io
import itertools
import sys

import pytest
from rich.console import Console

from loaders.cli import progress
from loaders.cli.progress import Lines, Terminal
from loaders.engine.progress import format_duration


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of a monotonic clock that a test sets."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    return clock


def test_the_rate_of_a_dataset_counts_from_where_the_one_before_it_ended(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    lines = Lines()
    lines.start("kline_daily", 40)
    lines.start("index_kline", 2)
    now[0] += 20
    lines.advance("kline_daily", 20)
    now[0] += 20
    lines.advance("kline_daily", 20)
    now[0] += 1
    lines.advance("index_kline", 2)

    assert capsys.readouterr().err.splitlines() == [
        "kline_daily: 20 of 40 (1.0/s, 20 s left)",
        "kline_daily: 40 of 40 (1.0/s)",
        "index_kline: 2 of 2 (2.0/s)",
    ]


def test_a_time_left_comes_after_enough_keys_in_units_that_people_use(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    lines = Lines()
    lines.start("kline_daily", 2_000)
    for keys in (9, 1):
        now[0] += 10
        lines.advance("kline_daily", keys)

    assert capsys.readouterr().err.splitlines() == [
        "kline_daily: 9 of 2,000 (0.9/s)",
        "kline_daily: 10 of 2,000 (0.5/s, 1 h 6 min left)",
    ]
    durations = map(format_duration, (0.4, 59.6, 3_599, 3_600))
    assert [*durations] == ["0 s", "1 min 0 s", "59 min 59 s", "1 h 0 min"]


def test_a_line_of_a_build_names_what_runs_and_for_how_long(
    capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    lines = Lines()
    lines.step("reading the models")
    lines.start("build", 40)
    now[0] += 20
    lines.step("kline_daily_qfq")
    lines.advance("build", 20)

    assert capsys.readouterr().err.splitlines() == [
        "build: 20 of 40 (1.0/s, 20 s left), after 20 s in kline_daily_qfq"
    ]


def test_a_terminal_says_what_is_done_before_the_first_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = io.StringIO()
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", shown)

    def show(terminal: Terminal) -> str:
        shown.truncate(0)
        terminal._progress.refresh()
        return shown.getvalue()

    with Terminal() as terminal:
        before = show(terminal)
        terminal.step("starting PostgreSQL")
        started = show(terminal)
        terminal.start("kline_daily", 12_000)
        terminal.advance("kline_daily", 1_000)
        loading = show(terminal)
        terminal.start("tick_trade", 5)
        several = show(terminal)
        terminal.step("kline_daily_qfq")
        stepped = show(terminal)

    assert "0/0" not in before + started
    assert "starting PostgreSQL" in started
    assert "1,000/12,000" in loading
    assert ["PostgreSQL" in loading, "all " in loading, "all " in several] == [False, False, True]
    assert "1,000/12,005" in several
    assert "0 s  kline_daily_qfq" in stepped


def test_no_time_left_is_shown_while_rows_land(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", shown)
    said = []
    with Terminal() as terminal:
        clock = itertools.count(0, 0.5)
        terminal._progress.get_time = lambda: next(clock)
        terminal.start("minute_1m", 5_000)
        for _ in range(2):
            terminal.advance("minute_1m", 1_000)
        for text in ("", "landing 4,100,300 rows", ""):
            terminal.hold(text)
            shown.truncate(0)
            terminal._progress.refresh()
            said.append(shown.getvalue())
    assert [" left" in text for text in said] == [True, False, True]
    assert "landing 4,100,300 rows" in said[1]


def test_bars_leave_room_for_the_mark_of_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    with Terminal() as terminal:
        terminal.start("kline_daily", 100_000)
        terminal.hold("waits for the TDX service")
        console = Console(width=60)
        lines = console.render_lines(terminal._progress.get_renderable(), pad=False)
    assert max(sum(part.cell_length for part in line) for line in lines) == 60 - len("^C") - 1


def test_a_line_over_the_bars_breaks_between_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    Terminal().line(
        "kline_daily           30 done, 0 skipped, 0 failed; rows: 14,464 new, 0 unchanged"
    )
    assert capsys.readouterr().err.splitlines() == [
        "kline_daily           30 done, 0 skipped, 0 failed; rows:",
        "    14,464 new, 0 unchanged",
    ]
