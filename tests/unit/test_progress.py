"""What a load shows of its progress where stderr is no terminal."""

import pytest

from loaders.cli import progress
from loaders.cli.progress import Lines


def test_the_rate_of_a_dataset_counts_from_where_the_one_before_it_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
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
