"""The pages' own words: English, or Chinese from the catalogue zh.json.

A text that the catalogue lacks stays English; a test holds that every text of a template is there.
Figures, names, commands and messages of commands are the same in both.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from markupsafe import Markup, escape

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
    # where ticks are
    mark("tick_store"),
    mark("archive"),
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


@dataclass(frozen=True)
class Words:
    """Texts in one language; `{name}` in them takes a value."""

    language: str = "en"

    def __call__(self, text: str, **values: object) -> str:
        said = catalogue().get(text, text) if self.language == "zh" else text
        return said.format(**values) if values else said

    def both(self, text: str) -> Markup:
        """A label, and beside the English one that which users of the older runbook know."""
        if self.language == "zh":
            return escape(self(text))
        beside = Markup('<span class="beside" lang="zh-CN">{}</span>').format(catalogue()[text])
        return escape(text) + " " + beside
