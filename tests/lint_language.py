"""The language rules that a program can hold: part of `make lint`.

    python -m tests.lint_language [PATH ...]
    python -m tests.lint_language --write-known

Spelling (codespell), words and names that are not used, lines over 100 columns, banner comments,
what steers the formatter, and habits of foreign English in texts that people read. Without a path
every file that git knows or would add is read. Prints `path:line: what is wrong`, then the count of
each folder; exits 1 if there is any.

`lint_language_known.txt` has the number of habits that each file still has: more are errors, and so
is a number that is too high. --write-known writes the present numbers.
"""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
KNOWN_HABITS = Path(__file__).with_name("lint_language_known.txt")
COLUMNS = 100
SUFFIXES = (".md", ".py", ".sql", ".toml", ".yaml", ".yml", ".sh", ".html", ".j2", ".csv")
WIDE = (".csv", ".html", ".toml", ".json")
NAMES = ("Makefile", "run", "timescale", "browser", "zh.json")
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


# habits, each with the words to use instead
HABITS = {
    "alone": (r"\balone\b", "only, by itself"),
    "no-more": (r"\bany more\b|\bno more\b(?! than)", "no longer"),
    "is-no": (r"(?<!there )\bis no (?!longer\b)\w", "is not a, has no"),
    "be-had": (r"\bcan(?:not)? be had\b", "is available"),
    "says": (r"\bsays\b", "prints, shows, reports"),
    "where": (r"\b(?:null where|where (?:it|nothing|one|no)) ", "if, when"),
    "if-absent": (r"\bif absent\b", "default: ..."),
    "stand-still": (r"\bstands? still\b", "has stopped updating"),
    "is-away": (r"\bis away\b", "is unreachable"),
    "until": (r"\buntil (?:%s|\{)", "latest, up to and including"),
    "repeat": (r"\bmay be repeated\b|\brepeatable\b", "Can be repeated."),
    "semicolon": (r";", "two sentences"),
    "what": (r"\Awhat (?:is|that|are)\b", "a noun"),
    "long": (r"\A\s*(?:\S+\s+){80}\S", "at most 80 words in a paragraph"),
}
STRINGS = ("message", "hint", "help", "description")
ONLY = {"semicolon": STRINGS, "what": ("help",), "long": ("help",)}
VERBS = """add allow answer ask call cast change check choose close compare configure connect copy correct
create declare delete describe do don't download drop edit enable end export find fix follow
free give grant inform install keep leave let list load look lower make mount move name omit
open pass pick place please point put query quote raise read rebuild reload remove reinstall
rename repair repeat replace report request restart restore resume retry run save see select
send set shorten show shut specify split start stop synchronize take tell try turn type undo
unset update upgrade use verify wait write"""
IMPERATIVE = re.compile(
    r"`|\{\}|(?:quotemill|loaders|dbt|docker|pip|git|chmod|mkdir|GET|POST)\s"  # a command
    r"|[\w.]+ ?=|[\w.]+\("  # a setting, an argument or a call
    rf"|(?:(?:to|if|for|on|in|with|without|then|first)\b[^.]*, )?(?:{'|'.join(VERBS.split())})\b",
    re.IGNORECASE,
)
COMMAND = re.compile(r"\.(?:command|callback)\(")


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
        if len(line) > COLUMNS and suffix not in WIDE and not is_table:
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


def texts(node: ast.expr) -> Iterator[tuple[int, str]]:
    """The strings that an expression can be, each with its line; values in them are {}."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield node.lineno, text
        case ast.JoinedStr(values=values):
            parts = (v.value if isinstance(v, ast.Constant) else "{}" for v in values)
            yield node.lineno, "".join(map(str, parts))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            ends = " ".join(text for _, text in texts(right))
            yield from ((line, text + ends) for line, text in texts(left))
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*texts(body), *texts(orelse))
        case ast.BoolOp(values=values):
            yield from (text for value in values for text in texts(value))


def read_texts(path: Path, text: str) -> Iterator[tuple[int, str, str]]:
    """Line, kind and text of whatever people read of a file."""
    if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "tests":
        for node in ast.walk(ast.parse(text)):
            match node:
                case ast.Raise(exc=ast.Call(args=args)):
                    for value in args:
                        yield from ((line, "message", found) for line, found in texts(value))
                case ast.keyword(arg=("hint" | "help" | "description") as kind, value=value):
                    yield from ((line, kind, found) for line, found in texts(value))
                case ast.FunctionDef(decorator_list=marks):
                    is_command = any(COMMAND.search(ast.unparse(mark)) for mark in marks)
                    if is_command and (found := ast.get_docstring(node)):
                        yield node.lineno, "help", found
    elif path.suffix == ".md" and "decisions" not in path.parts:
        is_code = False
        for number, line in enumerate(text.splitlines(), start=1):
            if line.lstrip().startswith("```"):
                is_code = not is_code
            elif not is_code:
                yield number, "docs", line
    elif path.suffix == ".json":
        yield from ((number, "catalogue", key) for number, key in enumerate(json.loads(text), 2))
    elif path.suffix == ".yml":
        key = ""
        for token in yaml.scan(text, yaml.CSafeLoader):
            if isinstance(token, yaml.ScalarToken):
                if key == "description":
                    yield token.start_mark.line + 1, "catalogue", token.value
                key = token.value


def habits(kind: str, text: str) -> Iterator[tuple[str, str]]:
    """The habits of a text, each with what is wrong."""
    for paragraph in re.sub(r"`[^`]*`", "``", text).split("\n\n"):
        for name, (pattern, instead) in HABITS.items():
            if kind in ONLY.get(name, (kind,)) and re.search(pattern, paragraph, re.IGNORECASE):
                yield name, f"habit {name}: use {instead}"
    if kind == "hint" and not IMPERATIVE.match(text):
        yield "hint", f"hint without an imperative or a command first: {text[:40]}"


def list_habits(paths: list[Path]) -> Iterator[tuple[str, int, str, str]]:
    """Path, line, name and message of each habit in these files."""
    for path in paths:
        for number, kind, text in read_texts(path, path.read_text("utf-8")):
            for habit, message in habits(kind, text):
                yield str(path.relative_to(ROOT)), number, habit, message


def read_known() -> Counter[tuple[str, str]]:
    rows = (line.split() for line in KNOWN_HABITS.read_text("utf-8").splitlines())
    return Counter({(path, habit): int(count) for count, habit, path in rows})


def judge(
    hits: list[tuple[str, int, str, str]], known: Counter[tuple[str, str]]
) -> Iterator[tuple[str, int, str]]:
    """Habits of files that have more than is known, and known numbers that are too high."""
    found = Counter((path, habit) for path, _, habit, _ in hits)
    for path, number, habit, message in hits:
        if found[path, habit] > known[path, habit]:
            yield path, number, message
    for path, habit in known - found:
        yield path, 1, f"fewer habits {habit} than known; fix: --write-known"


def write_known(paths: list[Path]) -> None:
    """Write the present numbers; print the sum of each habit, and what became more."""
    counts = Counter((path, habit) for path, _, habit, _ in list_habits(paths))
    for (path, habit), more in (counts - read_known()).items():
        print(f"{path}: {more} more {habit}")
    rows = (f"{count} {habit} {path}\n" for (path, habit), count in sorted(counts.items()))
    KNOWN_HABITS.write_text("".join(rows), "utf-8")
    for habit, count in Counter(habit for _, habit in counts.elements()).most_common():
        print(f"{count:6} {habit}")


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
    others = {str(path.relative_to(ROOT)) for path in {*files([])} - {*paths}}
    known = Counter({key: count for key, count in read_known().items() if key[0] not in others})
    for name, number, message in judge([*list_habits(paths)], known):
        yield ROOT / name, number, message
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
    if sys.argv[1:] == ["--write-known"]:
        write_known(files([]))
        return 0
    listed = sorted(errors(files(sys.argv[1:])))
    for path, number, message in listed:
        print(f"{path.relative_to(ROOT)}:{number}: {message}")
    counts = Counter("/".join(path.relative_to(ROOT).parts[:-1][:2]) for path, _, _ in listed)
    for folder, count in counts.most_common():
        print(f"{count:6} {folder or 'top folder'}", file=sys.stderr)
    return 1 if listed else 0


if __name__ == "__main__":
    sys.exit(main())
