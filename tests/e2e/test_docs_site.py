"""The site that `make docs` builds: each link leads somewhere, nothing comes from elsewhere."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests import browser, check_site, write_reference
from tests.conftest import ROOT


def test_the_site_is_complete_and_opens_without_errors(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_reference.write(write_reference.PAGES)
    make = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    make += ["-c", str(ROOT / "docs"), "-d", str(tmp_path / "pages"), str(ROOT), str(site)]
    done = subprocess.run(make, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    shutil.copyfile(ROOT / "docs" / "first_page.html", site / "index.html")
    (site / "models.html").write_text("<title>dbt's own</title>")
    assert list(check_site.wrong(site)) == []

    with browser.running(tmp_path / "chromium") as running:
        page = running.open((site / "docs" / "index.html").as_uri())
        assert page.console == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []
        # the sidebar has all that the page lists
        listed = page.texts("article a.reference.internal")
        assert len(listed) > 30
        assert "Nightly run" in page.texts(".sidebar-tree .caption")
        assert len(page.texts(".sidebar-tree a")) >= len(set(listed)) - 5
