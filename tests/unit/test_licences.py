"""docs/licences.md names each locked package whose licence asks for more than its own text."""

import re
from importlib import metadata

import pytest

from tests.conftest import ROOT

PERMISSIVE = re.compile(r"\b(?:MIT|\d?-?BSD|0BSD|Apache|ISC|ISCL|PSF|Python Software Foundation)\b")
MORE = re.compile(r"GPL|MPL|Mozilla|Artistic|Proprietary|EPL|EUPL|CDDL|SSPL|BUSL|Commons Clause")
# permissive, and in no environment of ours: of another system, or of `make test-dbt112`
ELSEWHERE = {"metricflow", "pyreadline3", "pywin32", "rapidfuzz", "win-precise-time"}


def locked(name: str) -> set[str]:
    text = (ROOT / name).read_text("utf-8")
    return set(re.findall(r"^([\w.-]+)(?:\[[\w,-]+\])?==", text, re.MULTILINE))


def licence(package: str) -> str:
    """What a package says of its licence: an expression, or a field and classifiers."""
    about = metadata.metadata(package)
    if expression := about.get("License-Expression"):
        return expression
    words = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    return "\n".join([*(about.get("License") or "").splitlines()[:1], *words])


def is_permissive(words: str) -> bool:
    return bool(PERMISSIVE.search(words)) and not MORE.search(words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("MIT OR Apache-2.0", True),
        ("BSD-3-Clause", True),
        ("License :: OSI Approved :: ISC License (ISCL)", True),
        ("LGPL-3.0-only", False),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_licence_that_asks_for_more_or_is_unknown_is_not_permissive(
    words: str, expected: bool
) -> None:
    assert is_permissive(words) is expected


def test_the_page_of_licences_names_what_is_not_permissive_and_nothing_else() -> None:
    installed = {d.name.lower().replace("_", "-") for d in metadata.distributions()}
    running = locked("requirements.lock") | locked("requirements-dbt112.lock")
    assert running - installed <= ELSEWHERE
    # which not every environment has
    running |= locked("requirements-dagster.lock")
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / "licences.md").read_text("utf-8"), re.M)
    named = {name for row in rows for name in re.findall(r"`(.*?)`", row)}
    assert named <= running
    expected = {p for p in running & installed if not is_permissive(licence(p))}
    assert named & installed == expected
