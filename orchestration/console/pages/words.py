"""The words of the pages: English, or Chinese from the catalogue zh.json.

The catalogue has the texts of the templates, the meanings of settings, and messages of commands,
whose values are {0}, {1} there. A message that it lacks stays English. Names and commands, which
Chinese texts have in backticks, are the same in both.
"""

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from fastapi import Request

from orchestration.console import security
from orchestration.report.page import COMMAND

LANGUAGES = {"en": "English", "zh": "中文"}


def mark(text: str) -> str:
    """A text that a page shows by its value, such as a status."""
    return text


STATUSES = (
    mark("running"),
    mark("succeeded"),
    mark("partial"),
    mark("failed"),
    mark("cancelled"),
    mark("interrupted"),
    mark("pending"),
    # of jobs of the schedule
    mark("on"),
    mark("off"),
    mark("disabled"),
    mark("queued"),
    mark("wrong"),
    # of checks
    mark("passed"),
    mark("skipped"),
    # of findings
    mark("new"),
    mark("standing"),
    mark("acknowledged"),
    mark("error"),
    mark("warning"),
    mark("info"),
    # of captures, and of days of ticks
    mark("complete"),
    mark("short"),
    mark("to_restamp"),
    mark("no_data"),
    mark("other_contract"),
    mark("missing"),
    mark("intraday"),
    mark("recapture"),
    # of sectors
    mark("concept"),
    mark("style"),
    mark("index"),
    mark("special"),
    mark("industry"),
    mark("industry_2"),
    mark("industry_3"),
    mark("industry_x"),
)


@cache
def catalogue() -> dict[str, str]:
    """Chinese by English text."""
    text = (files("orchestration.console.pages") / "zh.json").read_text("utf-8")
    read: dict[str, str] = json.loads(text)
    return read


# what joins messages outside of brackets, and what joins their Chinese
JOINTS = {"\n": "\n", "; ": "；", ". ": "。", ": ": "：", ", ": "，"}
# a name, a path, a number: the same in both languages
CODE = re.compile(r"[A-Z]+|\S*[^A-Za-z\s]\S*")
# where the value of a setting comes from, if that is no file
ORIGIN = re.compile(r"environment \S+|default(: embedded server)?")


@cache
def list_patterns() -> list[tuple[re.Pattern[str], str]]:
    """Messages with values; those that begin with words first, of these the longest."""
    texts = [text for text in catalogue() if "{0}" in text]
    texts.sort(key=lambda text: (text.startswith("{"), -len(text)))
    patterns = (re.sub(r"\\{\d\\}", "(.+?)", re.escape(text)) for text in texts)
    return [(re.compile(p), catalogue()[t]) for p, t in zip(patterns, texts, strict=True)]


@lru_cache(5000)
def translate(text: str) -> str | None:
    """The Chinese of a message, or of all its parts; None for others."""
    if text in catalogue() or not re.search("[A-Za-z]", text):
        return catalogue().get(text, text)
    for joint, own in JOINTS.items():
        parts = re.split(re.escape(joint) + r"(?![^(]*\))", text)
        end = "." if joint == ". " else ""  # of a sentence that is followed by another
        said = [translate(p) or translate(p + end) for p in parts] if len(parts) > 1 else []
        if said and all(part is not None for part in said):
            return own.join(filter(None, said))
    outside, inside = map(translate, _split_end(text))
    if outside and inside:
        return f"{outside}（{inside}）"
    for pattern, chinese in list_patterns():
        if match := pattern.fullmatch(text):
            values = match.groups()
            said = [_say_value(value, n, chinese) for n, value in enumerate(values)]
            if None not in said:
                return chinese.format(*said)
    if re.fullmatch(COMMAND, text):
        return f"`{text}`"
    return text if all(map(CODE.fullmatch, text.split())) else None


def _split_end(text: str) -> tuple[str, str]:
    """A text before the brackets at its end, and what is in them, such as a hint; else none."""
    if not text.endswith(")"):
        return "", ""
    depth = place = 0
    for place in range(len(text) - 1, 0, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if depth == 0:
            break
    if text[place - 1 : place + 1] != " (":
        return "", ""
    return text[: place - 1], text[place + 1 : -1]


def _say_value(value: str, place: int, chinese: str) -> str | None:
    """A value as it stands where backticks quote it, else in Chinese; None for other words."""
    if f"`{{{place}}}`" in chinese:
        said = translate(value) if ORIGIN.fullmatch(value) else None
        return (said or value).replace("`", "")
    return translate(value) or (None if " " in value else value)


def quote(text: str) -> str:
    """A message of another program, as it is, behind what we say about it."""
    about, joint, rest = text.partition(": ")
    if joint and (said := translate(about)):
        return f"{said}：“{rest}”"
    return f"“{text}”" if re.search(r"\s", text) else text


@dataclass(frozen=True)
class Words:
    """Texts in one language; `{name}` in them takes a value."""

    language: str = "en"

    def try_text(self, text: str) -> str:
        """A line of a log, as it is where the catalogue lacks it, and without marks."""
        said = translate(text) if self.language == "zh" else None
        return said.replace("`", "") if said else text

    def __call__(self, text: str, **values: object) -> str:
        if self.language == "zh":
            text = catalogue()[text] if values else translate(text) or quote(text)
        return text.format(**values) if values else text


def choose_words(request: Request) -> Words:
    """The words of a reader: those chosen by this request, or by an earlier one of the browser."""
    asked = request.query_params.get("lang"), security.read_cookie(request, "language")
    return Words(next((language for language in asked if language in LANGUAGES), "en"))
