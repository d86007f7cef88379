"""The written pages as a site, by Sphinx: `make docs`. The sidebar is what docs/index.md lists."""

import posixpath
import re
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

project = "quotemill"
release = metadata.version("quotemill")
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md"]
# docs/dbt holds blocks for the descriptions of models; the rest is no page, and large
exclude_patterns = [
    ".*",
    "docs/dbt",
    "docs/site",
    "dbt_project",
    "loaders",
    "macros",
    "orchestration",
    "seeds",
    "tests",
    "var",
]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "quotemill"
html_copy_source = False
html_show_sphinx = False
# pages whose lists are the sidebar, and the folder that their links count from
LISTS = {"docs/index": "docs", "docs/decisions/README": "docs/decisions"}
# pages that have moved, below docs, and where: links to them from elsewhere keep working
REDIRECTS = {
    "datasets/market_stats_snapshot": "datasets/quotes#market-breadth",
    "datasets/minute_1m": "datasets/minutes",
    "datasets/minute_5m": "datasets/minutes",
    "datasets/quote_snapshot": "datasets/quotes#quote-snapshots",
    "datasets/rollups": "datasets/minutes#queries",
    "datasets/service_klines": "datasets/minutes#service-bars",
    "datasets/stock_info": "datasets/quotes#code-summaries",
    "how-to/backtesters": "how-to/integrations#backtesters",
    "how-to/containers": "how-to/install#in-containers",
    "how-to/dagster": "how-to/orchestrators#dagster",
    "how-to/follow-changes": "how-to/dbt#the-change-feed",
    "how-to/grafana": "how-to/integrations#grafana",
    "how-to/jobs": "how-to/checks#loads",
    "how-to/logs": "how-to/checks#logs",
    "how-to/neighbours": "how-to/integrations",
    "how-to/notebooks": "how-to/integrations#notebooks",
    "how-to/reader-role": "how-to/integrations#a-reader-role",
    "how-to/reconcile": "how-to/checks#reconciliation",
    "how-to/remove": "how-to/install#uninstall",
    "how-to/self-test": "how-to/checks#the-self-test",
    "how-to/upgrade": "how-to/install#upgrade",
    "older-runbooks": "appendix/older-runbooks",
}
_STUB = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={0}">
<title>This page has moved</title>
<p>This page has moved: <a href="{0}">{0}</a></p>
</html>
"""
_LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)\.md\)")


def _with_contents(_app: Any, name: str, source: list[str]) -> None:
    """Add a hidden table of contents to a page of lists, for each of its sections."""
    if name not in LISTS:
        return
    if name == root_doc:  # what `make docs` generates, and dbt's site beside these pages
        source[0] += (
            "\n- [commands](reference/commands.md) · [settings](reference/settings.md) ·"
            " [columns](reference/columns.md)\n"
            '\n<p><a href="../models.html">Tables and columns of the models</a></p>\n'
        )
    seen: set[str] = set()
    for section in source[0].split("\n## "):
        caption, _, text = section.partition("\n")
        entries = []
        for title, link in _LINK.findall(text):
            target = posixpath.normpath(posixpath.join(LISTS[name], link))
            if target not in seen:
                seen.add(target)
                entries.append(f"{title[:1].upper()}{title[1:]} </{target}>")
        if entries:
            head = "Start" if caption.startswith("#") else caption
            listed = "\n".join(entries)
            source[0] += f"\n\n```{{toctree}}\n:hidden:\n:caption: {head}\n\n{listed}\n```\n"


def _write_redirects(app: Any, error: Exception | None) -> None:
    """Write a stub for each page that has moved, which leads to the new page."""
    for old, new in {} if error else REDIRECTS.items():
        page, hash_sign, anchor = new.partition("#")
        target = f"{posixpath.relpath(page, posixpath.dirname(old))}.html{hash_sign}{anchor}"
        stub = Path(app.outdir, "docs", f"{old}.html")
        stub.parent.mkdir(parents=True, exist_ok=True)
        stub.write_text(_STUB.format(target), "utf-8")


def _copy_pictures(app: Any, error: Exception | None) -> None:
    """Copy the pictures, which pages show by HTML of their own."""
    if not error:
        target = Path(app.outdir, "docs", "pictures")
        shutil.copytree(Path(app.srcdir, "docs", "pictures"), target, dirs_exist_ok=True)


def setup(app: Any) -> None:
    app.connect("build-finished", _write_redirects)
    app.connect("build-finished", _copy_pictures)
    app.connect("source-read", _with_contents)
