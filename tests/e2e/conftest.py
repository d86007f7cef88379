"""Whole commands as forks that have imported dbt."""

import os

import pytest

from tests.forks import preload

preload("tests.preloaded_commands", "tests.preloaded_dbt")


@pytest.fixture(scope="session", autouse=True)
def _forks_share_parsed_projects(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    # the server of forks starts with the first of them
    os.environ["PARSED_PROJECTS"] = str(own.parent if is_worker else own)
