"""QuestDB as `compose.yaml` starts it: the pinned jar on the package's Java, with a password."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from loaders.ticks.questdb.jar import VERSION, cached_jar
from tests.conftest import ROOT
from tests.integration.ticks.servers import require_questdb

PASSWORD = "a\"b$c d'e"


@pytest.mark.long
def test_questdb_of_compose_yaml_asks_for_the_password(tmp_path: Path) -> None:
    require_questdb()
    service = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]["questdb"]
    home = tmp_path / "home"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    jar = home / ".cache" / "quotemill" / cached_jar().name
    jar.parent.mkdir(parents=True)
    jar.symlink_to(cached_jar())
    given = service["environment"]
    environ = {key: PASSWORD if value.startswith("${") else value for key, value in given.items()}
    environ |= {"HOME": str(home), "QUOTEMILL_HOME": str(home)}
    environ |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    # by default 9000 and 9003 of all addresses of the container
    environ |= {"QDB_HTTP_NET_BIND_TO": f"127.0.0.1:{port}", "QDB_HTTP_MIN_ENABLED": "false"}
    words = [word.replace("$$", "$") for word in service["entrypoint"] + service["command"]]

    def ask(*auth: str) -> httpx.Response:
        url = f"http://127.0.0.1:{port}/exec?query=select+build()"
        return httpx.get(url, auth=auth or None, trust_env=False)  # type: ignore[arg-type]

    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(words, cwd=home, env=environ, stdout=log, stderr=log) as server,
    ):
        try:
            while True:
                assert server.poll() is None, (tmp_path / "log").read_text()
                try:
                    answer = ask("quotemill", PASSWORD)
                    break
                except httpx.TransportError:
                    continue
            assert f"QuestDB {VERSION}" in answer.text
            assert ask().status_code == 401
            assert ask("admin", "quest").status_code == 401
        finally:
            server.terminate()  # as `docker compose stop` does
        assert server.wait() == 143
