"""`quotemill export`: the first word is a command of the group, or else a table."""

import pytest
import typer

from orchestration.cli.export import app
from quotemill.errors import UsageError


@pytest.mark.parametrize("words", [[], ["rows"]])
def test_the_word_rows_may_be_left_out(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--to ods "):
        app([*words, "kline_daily", "--to", "ods", "folder"], standalone_mode=False)


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    group = typer.main.get_command(app)
    assert group.main(["--help"], standalone_mode=False) == 0
    assert "rows" in capsys.readouterr().out
