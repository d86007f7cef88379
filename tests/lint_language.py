"""The language rules that a program can hold: part of `make lint`.

    python -m tests.lint_language [PATH ...]

Spelling (codespell), words and names that are not used, lines over 100 columns, banner comments and
what steers the formatter. Without a path every file that git knows or would add is read. Prints
`path:line: what is wrong`, then the count of each folder; exits 1 if there is any.
"""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
COLUMNS = 100
SUFFIXES = (".md", ".py", ".sql", ".toml", ".yaml", ".yml", ".sh", ".html", ".j2", ".csv")
NAMES = ("Makefile", "run", "timescale", "browser")
DATA = re.compile(r"^seeds/.*\.csv$")

# letters alone bound a word, so that it is seen inside a name as well: `_told`, `mend_of`
WORD = re.compile(
    r"(?<![A-Za-z])(?:told|befell|befalls?|mend(?:s|ed|ing)?|whoever|thereof|hereof|beforehand"
    r"|graver?|earnest|asunder|afresh|anew|whatever comes|is none|is to come|nobody is)(?![A-Za-z])",
    re.IGNORECASE,
)
# columns, figures and JSON keys that users know; `x is none` of Jinja, `x is None` of Python
KNOWN = re.compile(
    r"\b(?:recovery_told_at|told_at|is_told)\b|\bis None\b"
    r"|\{[{%].*?\bis none\b.*?[%}]\}"
)

# names that say nothing of their value, or that the reader must learn first
NAME = re.compile(r"_*(?:of_\w+|told|look|found|one|kept|mend\w*)")

BANNER = re.compile(r"^\s*(?:#|--|//)\s*[-=─*#]{2,}")
STEERING = re.compile(r"#\s*(?:fmt|yapf):|--\s*fmt:")
TABLE_ROW = re.compile(r"^\s*\|")
YAML_ROW = re.compile(r"^\s*(?:- )?(?:&\w+ )?[{[]")  # a column or a row of a test, one a line
ADDRESS = re.compile(r"https?://\S+|@sha256:\S+|@[0-9a-f]{40}\b")


def files(paths: list[str]) -> list[Path]:
    """The texts below `paths`, as git lists them."""
    call = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths]
    listed = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [
        ROOT / name
        for name in sorted(set(listed.split("\0")) - {""})
        if (name.endswith(SUFFIXES) or Path(name).name in NAMES)
        and not DATA.search(name)
        and (ROOT / name).is_file()
        and Path(name).name != "lint_language.py"  # have the words
    ]


def line_errors(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """What is wrong with single lines, each with its number."""
    suffix = path.suffix
    row = {".md": TABLE_ROW, ".yml": YAML_ROW}.get(suffix)
    for number, line in enumerate(text.splitlines(), start=1):
        if WORD.search(line) and (word := WORD.search(KNOWN.sub("", line))):
            yield number, f"word that is not used: {word[0]}"
        is_table = row is not None and row.match(line)
        if len(line) > COLUMNS and suffix not in (".csv", ".html", ".toml") and not is_table:
            width = len(ADDRESS.sub("", line))
            if width > COLUMNS:
                yield number, f"{width} columns"
        if suffix != ".md" and BANNER.match(line):
            yield number, "banner comment"
        if STEERING.search(line):
            yield number, "comment that steers the formatter"


def syntax_errors(text: str) -> Iterator[tuple[int, str]]:
    """What is wrong in the syntax tree of a Python file, each with its line.

    Starred literals, `*(…)` and `*[…]`, which only keep items on one line; and names of functions,
    arguments and variables that are not used.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Starred):
            if isinstance(node.value, ast.Tuple | ast.List | ast.Set):
                yield node.lineno, "starred literal that steers the formatter"
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr
        else:
            continue
        if NAME.fullmatch(name):
            yield node.lineno, f"name that is not used: {name}"


def spelling_errors(paths: list[Path]) -> Iterator[tuple[Path, int, str]]:
    """What codespell finds; its settings are in pyproject.toml."""
    names = [str(path.relative_to(ROOT)) for path in paths]
    call = [sys.executable, "-m", "codespell_lib", "--", *names]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True)
    if done.returncode not in (0, 65):
        raise SystemExit(f"codespell failed: {done.stderr.strip()}; fix: make lint")
    for name, number, message in re.findall(r"^(.+?):(\d+): (.+)$", done.stdout, re.MULTILINE):
        yield ROOT / name, int(number), message


def errors(paths: list[Path]) -> Iterator[tuple[Path, int, str]]:
    """Everything that is wrong in these files."""
    for path in paths:
        text = path.read_text("utf-8")
        for number, message in line_errors(path, text):
            yield path, number, message
        if path.suffix == ".py":
            for number, message in syntax_errors(text):
                yield path, number, message
    if paths:
        yield from spelling_errors(paths)


def main() -> int:
    listed = sorted(errors(files(sys.argv[1:])))
    for path, number, message in listed:
        print(f"{path.relative_to(ROOT)}:{number}: {message}")
    counts = Counter("/".join(path.relative_to(ROOT).parts[:-1][:2]) for path, _, _ in listed)
    for folder, count in counts.most_common():
        print(f"{count:6} {folder or 'top folder'}", file=sys.stderr)
    return 1 if listed else 0


if __name__ == "__main__":
    sys.exit(main())
