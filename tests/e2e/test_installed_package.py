"""The wheel alone, far from any checkout, brings the dbt project, and serves in a container."""

import json
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from orchestration.schedule.runner import ENDINGS
from tests.e2e.commands import ROOT
from tests.homes import clean_environ, new_home
from tests.wheels import install_reader, install_wheel

PROGRAM = "from orchestration.cli import main; main()"


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_wheel(wheel, tmp_path_factory.mktemp("venv"))


@pytest.fixture(scope="module")
def reading_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_reader(wheel, tmp_path_factory.mktemp("reading"))


def test_without_an_extra_every_module_of_the_reader_is_imported(
    reading_python: Path, tmp_path: Path
) -> None:
    imports = (
        "import importlib, pkgutil, quotemill\n"
        "for module in pkgutil.walk_packages(quotemill.__path__, 'quotemill.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    done = subprocess.run(
        [reading_python, "-c", imports], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_without_an_extra_open_asks_for_the_warehouse_of_another_installation(
    reading_python: Path, tmp_path: Path
) -> None:
    program = (
        "import quotemill\ntry:\n    quotemill.open()\nexcept quotemill.Error as error:\n"
        "    print(error, error.hint)"
    )
    done = subprocess.run(
        [reading_python, "-c", program],
        cwd=tmp_path,
        env=clean_environ() | {"QUOTEMILL_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "quotemill.open(url=…)" in done.stdout, done.stderr


@pytest.mark.parametrize("module", ["orchestration.cli", "loaders.cli"])
def test_without_an_extra_a_command_names_the_one_it_needs(
    reading_python: Path, module: str, tmp_path: Path
) -> None:
    program = f"from {module} import main; main()"
    done = subprocess.run(
        [reading_python, "-c", program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 3
    assert ".whl[all]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_carries_what_a_checkout_has_for_dbt(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packed = {
        name.removeprefix("orchestration/bundled/")
        for name in names
        if name.startswith("orchestration/bundled/")
    }
    ours = ("dbt_project/models", "dbt_project/snapshots")
    parts = (*ours, "macros", "seeds", "tests/dbt", "docs/dbt")
    needed = {
        path.relative_to(ROOT).as_posix()
        for part in parts
        for path in (ROOT / part).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    files = {"dbt_project.yml", "selectors.yml"}
    assert {"quotemill/__init__.py", "quotemill/reader.py", "quotemill/py.typed"} <= names
    alone = {f"dbt_project/{name}" for name in files} | {"quotemill.example.toml"}
    assert packed == needed | alone


def test_dbt_runs_from_an_empty_folder_and_leaves_the_package_unchanged(
    python: Path, tmp_path: Path
) -> None:
    (site,) = (python.parent.parent / "lib").glob("python*/site-packages")

    def quotemill(*arguments: str) -> None:
        done = subprocess.run(
            [str(python), "-B", "-c", PROGRAM, *arguments],
            cwd=tmp_path,
            env=environ | {"QUOTEMILL_HOME": str(home)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    environ = clean_environ()
    before = sorted(site.rglob("*"))
    with new_home() as home:
        quotemill("dbt", "seed")  # parses all of the project, runs its hooks, writes a table
        profile = home / "dbt" / "profiles.yml"
        assert profile.stat().st_mode & 0o777 == 0o600
    assert sorted(site.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_compose_yaml_follows_the_compose_specification() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(ROOT / "compose.yaml")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_port_of_compose_yaml_is_bound_to_this_machine() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_compose_yaml_starts_no_server_without_a_password() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    given = [
        value
        for name in ("postgres", "questdb")
        for key, value in services[name]["environment"].items()
        if key.endswith("PASSWORD")
    ]
    assert len(given) == 3
    assert all(re.match(r"\$\{\w+_PASSWORD:\?", value) for value in given)


def test_compose_yaml_has_what_a_schedule_in_a_container_needs() -> None:
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["quotemill"]
    # a password in an address would need escapes; alerts carry the machine's name
    assert urlsplit(service["environment"]["QUOTEMILL_WAREHOUSE_URL"]).password is None
    assert service["environment"]["PGPASSWORD"] == "${POSTGRES_PASSWORD}"
    assert service["hostname"]
    patience = sum(seconds for _, seconds in ENDINGS if seconds is not None)
    assert float(service["stop_grace_period"].removesuffix("s")) > patience


def test_the_command_of_the_image_serves_from_the_wheel_until_it_is_stopped(
    python: Path, tmp_path: Path
) -> None:
    image = (ROOT / "Dockerfile").read_text("utf-8")
    lines = re.findall(r"^(ENTRYPOINT|CMD) (.+)$", image, re.MULTILINE)
    words = {name: json.loads(text) for name, text in lines}
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["quotemill"]
    assert words == {"ENTRYPOINT": ["quotemill"], "CMD": service["command"]}
    with new_home() as home:
        environ = clean_environ() | {
            "QUOTEMILL_HOME": str(home),
            "QUOTEMILL_TDX__BASE_URL": "http://127.0.0.1:9",
        }
        serving = subprocess.Popen(
            [str(python), "-B", "-c", PROGRAM, *words["CMD"]],
            cwd=tmp_path,
            env=environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert serving.stderr is not None
        first = serving.stderr.readline()
        serving.send_signal(signal.SIGTERM)  # as `docker compose stop` does
        rest = serving.communicate(timeout=120)[1]
    assert first.startswith("serving the schedule"), first + rest
    assert serving.returncode == 0, rest
    assert "Traceback" not in rest
