"""Check a built site: every link leads to a file and an anchor in it, nothing is loaded elsewhere.

python -m tests.check_site docs/site
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = ("canonical", "alternate", "next", "prev", "search", "index")  # of <link rel>


@dataclass
class _Page(HTMLParser):
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if LOADED.get(tag, "") in values and values.get("rel") not in NOT_LOADED:
            self.loaded.append(values[LOADED[tag]])


@cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text("utf-8"))
    return page


def _has(path: Path, fragment: str) -> bool:
    return unquote(fragment) in _read(path).anchors


def wrong(site: Path) -> Iterator[str]:
    """What is wrong with the site, page by page."""
    pages = [path for path in sorted(site.rglob("*.html")) if "_static" not in path.parts]
    for path in pages:
        page, name = _read(path), path.relative_to(site)
        yield from (f"{name} loads {url}" for url in page.loaded if urlsplit(url).netloc)
        for link in dict.fromkeys([*page.links, *page.loaded]):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{name}: {link} leads nowhere"
            elif parts.fragment and target.suffix == ".html" and not _has(target, parts.fragment):
                yield f"{name}: {link}: no such anchor"
    if not pages:
        yield f"no page is in {site}"


def main() -> int:
    errors = list(wrong(Path(sys.argv[1])))
    for line in errors:
        print(line, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
