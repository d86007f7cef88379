"""Each page of a console in one language: the Chinese ones wholly, the English ones alone."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from loaders import sources

SHOWN = ("title", "placeholder", "aria-label", "alt", "data-done", "data-queued", "data-words")
VOID = ("area", "br", "col", "hr", "img", "input", "link", "meta", "wbr")
CODE = ("code", "pre", "script", "style")  # commands, files, logs
# proper names, keys, and the initials of a name that a field shows as an example
NAMES = "quotemill Markdown PostgreSQL TimescaleDB QuestDB Page Up Down Home End pfyh vipdoc delta"
LIBRARY = "TradingView Lightweight Charts"
KEYS = "all backup"
TRADE = "Tick schema Maven"  # what Chinese quants and engineers say as it is: the glossary
UNITS = "min kB MiB GiB"
PRICES = (("futures", "variety"), ("options", "symbol"))
# UTC, CSV, AAPL are the same in Chinese
WORD = re.compile(r"[A-Za-z]*[a-z][A-Za-z']+")
CODES = re.compile(r"\S*[-0-9_./:@=\\]\S*")  # sh600000, kline_daily, SHFE.cu, a path, a time
CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")


class Texts(HTMLParser):
    """The texts of a page that a reader sees or hears, outside of commands and logs."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside: list[tuple[str, bool]] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        self.texts += [own[name] for name in SHOWN if name in own]
        self.links += [own[name] for name in ("href", "data-part") if name in own and tag != "link"]
        if tag not in VOID:
            is_other = tag in CODE or ("lang" in own and tag != "html")
            self.inside.append((tag, is_other))

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(is_other for _, is_other in self.inside):
            self.texts.append(" ".join(data.split()))


def walk(client: Any, language: str) -> Iterator[tuple[str, str]]:
    """The texts of each page and part that links lead to, each path once, with its address."""
    client.get("/", params={"lang": language})
    known = set[str]()
    waiting = ["/", "/jobs/999", "/builds/999", "/commands/x", "/prices?end=x"]
    waiting += [f"/prices?code={code}" for code in ("sh600000", "nothing")]
    waiting += [f"/prices/{kind}?{name}=AAPL" for kind, name in PRICES]
    while waiting:
        address = waiting.pop()
        path = urlsplit(address).path
        if path in known or path.startswith(("/api/", "/static/", "/report")):
            continue
        known.add(path)
        page = Texts(client.get(address, headers={"accept": "text/html"}).text)
        waiting += [link for link in page.links if link.startswith("/")]
        yield from ((address, text) for text in page.texts)
    assert len(known) > 10


def list_codes() -> set[str]:
    """Names that are typed as they are: sources, datasets, exchanges, jobs."""
    codes = {*sources.MODULES, *NAMES.split(), *LIBRARY.split(), *UNITS.split(), *KEYS.split()}
    codes |= {*TRADE.split()}
    for source in map(sources.find, sources.MODULES):
        codes |= {dataset.name for dataset in source.datasets} | set(source.requests.exchanges)
    return codes


def check_languages(client: Any) -> None:
    """No text of a Chinese page is Latin, or shows its marks; none of an English one Chinese."""
    codes = list_codes()
    latin = {
        f"{address}: {text}"
        for address, text in walk(client, "zh")
        if "`" in text or set(WORD.findall(CODES.sub(" ", text))) - codes
    }
    chinese = {f"{address}: {t}" for address, t in walk(client, "en") if CHINESE.search(t)}
    assert not latin | chinese, "\n".join(sorted(latin | chinese))
