"""The benchmark runs, at a size whose figures mean nothing."""

from pathlib import Path

from tests.benchmarks import landing, report


def test_write_paths_land_the_same_rows_and_are_reported(server_url: str, tmp_path: Path) -> None:
    said: list[str] = []

    results = landing.side_by_side(
        server_url, tmp_path, codes=3, days=20, rounds=1, slow_rounds=0, say=said.append,
        quick=(landing.LANDING, landing.INSERT), slow=(),
    )  # fmt: skip

    assert results.rows == 60
    assert results.dead[landing.LANDING] == {"first": 0, "again": 0, "new": 0}
    assert results.dead[landing.INSERT]["again"] == 60
    assert len(said) == 2
    assert "our landing path" in report.landing_section(results)
    assert len(report.landing_aims(results)) == 5
