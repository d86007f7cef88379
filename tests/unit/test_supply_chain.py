"""What others publish is named by what it contains: a commit, a digest, a hash."""

import hashlib
import re
import subprocess
import sys

import pytest
import yaml

from loaders.ticks.questdb.jar import VERSION
from tests.conftest import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_actions_are_named_by_commit_and_version() -> None:
    lines = [line for path in WORKFLOWS for line in path.read_text("utf-8").splitlines()]
    used = [line.split("uses: ")[1] for line in lines if "uses: " in line]
    assert len(used) > 5
    wrong = [u for u in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", u)]
    assert wrong == []
    assert len({u.split("@")[0] for u in used}) == len(set(used))


def test_whatever_a_workflow_installs_has_a_hash_and_is_built_without_a_download() -> None:
    installs = [
        line
        for path in WORKFLOWS
        for line in path.read_text("utf-8").splitlines()
        if "pip install" in line
    ]
    assert len(installs) == 3
    wrong = [i for i in installs if not re.search(r"--require-hashes|--no-build-isolation", i)]
    assert wrong == []


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ("vendor.github-workflows", ["workflows/tests.yml", "workflows/release.yml"]),
        ("vendor.dependabot", ["dependabot.yml"]),
    ],
)
def test_what_the_host_of_the_code_reads_is_of_its_form(schema: str, names: list[str]) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    paths = [str(ROOT / ".github" / name) for name in names]
    done = subprocess.run([*check, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_images_are_named_by_digest() -> None:
    digest = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
    images = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    images += [service["image"] for service in services.values() if "build" not in service]
    images = [image.removeprefix("${POSTGRES_IMAGE:-").rstrip("}") for image in images]
    assert [image for image in images if not digest.fullmatch(image)] == []
    assert len(images) == 3
    # of the version that the tests run, whose checksum the package has
    assert f"questdb-{VERSION}.jar" in str(services["questdb"]["command"])


def test_the_first_migration_stays_as_warehouses_have_run_it() -> None:
    first = ROOT / "loaders" / "warehouse" / "migrations" / "0001_release.sql"
    assert hashlib.sha256(first.read_bytes()).hexdigest() == (
        "4a4b9533937cd3d99be61b023fda61be005127337d6c0023acc1be7e2bd57747"
    )
