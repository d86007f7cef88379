"""What the check of a built site finds."""

from pathlib import Path

from tests import check_site

SOUND = (
    '<html><head><link rel="icon" href="data:,"></head>'
    '<h1 id="top">a</h1><a href="b.html#end">b</a></html>'
)


def test_links_anchors_and_what_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(SOUND)
    (tmp_path / "b.html").write_text(
        '<a id="end" href="a.html#top">a</a> <a href="https://x.org">x</a>'
    )
    assert list(check_site.wrong(tmp_path)) == []

    (tmp_path / "c.html").write_text(
        '<script src="https://x.org/a.js"></script><a href="a.html#no">a</a><a href="no.html">n</a>'
        '<img src="no.png">'
    )
    assert list(check_site.wrong(tmp_path)) == [
        "c.html loads https://x.org/a.js",
        "c.html: a.html#no: no such anchor",
        "c.html: no.html leads nowhere",
        "c.html: no.png leads nowhere",
    ]


def test_an_empty_site_is_an_error(tmp_path: Path) -> None:
    assert list(check_site.wrong(tmp_path)) == [f"no page is in {tmp_path}"]
