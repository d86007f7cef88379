"""The habits of foreign English, by kind of text, and the numbers that are known of each file."""

from collections import Counter
from pathlib import Path

import pytest

from tests import lint_language

HABITS = [
    ("alone", "docs", "the folder alone", "only the folder"),
    ("no-more", "message", "it does so no more", "no more than 5 codes"),
    ("is-no", "message", "11:15 is no slot", "it is no longer open, and there is no other"),
    ("be-had", "docs", "ticks cannot be had", "ticks are not available"),
    ("says", "catalogue", "the source says so", "the source reports it, see `says`"),
    ("where", "catalogue", "Close; null where unknown", "Close; null if unknown, where possible"),
    ("if-absent", "help", "The newest one if absent.", "Default: the newest one."),
    ("stand-still", "docs", "the source stands still", "the source has stopped updating"),
    ("is-away", "message", "the service is away", "the service is unreachable"),
    ("until", "catalogue", "3 days until {0}", "3 days (latest {0})"),
    ("repeat", "help", "A code; may be repeated.", "Code. Can be repeated."),
    ("semicolon", "description", "minutes to wait; 0: none", "Minutes to wait (0 for none)."),
    ("what", "help", "What is due now.", "Whatever is due now."),
    ("long", "help", "a " * 80 + "b", "a " * 70 + "\n\n" + "b " * 70),
    ("hint", "hint", "the first is 2024-01-02", "`quotemill loads` lists them"),
    ("hint", "hint", "sources: tdx, tq", "Choose one of: tdx, tq"),
    ("hint", "hint", "--date today", "to load it, run `loaders run tdx`"),
    ("hint", "hint", "page Settings", "tdx.base_url = http://host:8080"),
]
SOURCE = '''
@app.command("list")
def list_all(
    code: Annotated[str, typer.Option(help="What is listed.")],
) -> None:
    """List it; and more."""
    raise UsageError(
        f"{code} is no code", hint="see it" if code else "it is away" + " now"
    )
'''


@pytest.mark.parametrize(("habit", "kind", "bad", "good"), HABITS)
def test_a_habit_is_found_and_its_better_form_is_not(
    habit: str, kind: str, bad: str, good: str
) -> None:
    assert habit in dict(lint_language.habits(kind, bad))
    assert not [*lint_language.habits(kind, good)]


def test_semicolons_are_allowed_in_docs_and_catalogues() -> None:
    assert not [*lint_language.habits("docs", "a; b"), *lint_language.habits("catalogue", "a; b")]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "loaders/cli/x.py",
            SOURCE,
            [
                (3, "help", "List it; and more."),
                (4, "help", "What is listed."),
                (8, "hint", "it is away now"),
                (8, "hint", "see it"),
                (8, "message", "{} is no code"),
            ],
        ),
        ("tests/x.py", SOURCE, []),
        ("docs/x.md", "One\n```\ntwo\n```\nthree\n", [(1, "docs", "One"), (5, "docs", "three")]),
        ("docs/decisions/x.md", "One\n", []),
        ("zh.json", '{\n "key": "value"\n}\n', [(2, "catalogue", "key")]),
        (
            "dbt_project/x.yml",
            'a:\n- {name: b, description: "One"}\n- description: >-\n    two\n    three\n',
            [(2, "catalogue", "One"), (3, "catalogue", "two three")],
        ),
    ],
)
def test_texts_that_people_read_are_found_with_their_lines(
    name: str, text: str, expected: list[tuple[int, str, str]]
) -> None:
    assert sorted(lint_language.read_texts(lint_language.ROOT / name, text)) == expected


@pytest.mark.parametrize(
    ("known", "errors"), [(1, [3, 9]), (2, []), (3, [1])], ids=["more", "as many", "fewer"]
)
def test_a_file_has_as_many_habits_as_are_known(known: int, errors: list[int]) -> None:
    hits = [("a.py", 3, "alone", "first"), ("a.py", 9, "alone", "second")]
    listed = lint_language.judge(hits, Counter({("a.py", "alone"): known}))
    assert [number for _, number, _ in listed] == errors


def test_present_numbers_can_be_written_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known.txt"
    path.write_text("")
    monkeypatch.setattr(lint_language, "KNOWN_HABITS", path)
    paths = lint_language.files(["CONTRIBUTING.md", "seeds"])
    lint_language.write_known(paths)
    written = lint_language.read_known()
    assert {name for name, _ in written} == {"CONTRIBUTING.md"}  # its table of examples
    assert not [*lint_language.judge([*lint_language.list_habits(paths)], written)]
