"""The pages of runs and builds have their lines of the log."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from tests.bench import put_build
from tests.integration.console.conftest import NOW, Caller, Open
from tests.integration.console.pages import NASTY, open_page


def write_log(caller: Caller, *lines: Mapping[str, Any] | str | bytes) -> Path:
    """A file of the log of the day NOW; texts are lines that are damaged."""
    folder = caller.console.settings().home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"run-{NOW:%F}.jsonl"
    texts = (json.dumps(line) if isinstance(line, Mapping) else line for line in lines)
    path.write_bytes(b"\n".join(t if isinstance(t, bytes) else t.encode() for t in texts))
    return path


def test_a_run_of_the_history_has_its_lines_of_the_log(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    runs = {"20261120T113000-00aa": "one", "20261120T113000-00bb": "two"}
    with psycopg.connect(prepared_dsn) as conn:
        for run_id in runs:
            conn.execute(
                "insert into ops.runs "
                "(run_id, host, pid, command, started_at, finished_at, exit_code, error) values "
                "(%s, 'here', 1, 'run tdx --as-of 2026-11-20', %s, %s, 4, 'password=very-secret')",
                (run_id, NOW - timedelta(minutes=30), NOW),
            )
    written = [
        {"at": f"{NOW:%FT%T}.1Z", "level": "error", "run": run_id, "event": f"{word} {NASTY}"}
        for run_id, word in runs.items()
    ]
    write_log(caller, *written, '"run": "20261120T113000-00aa" torn', "{}")
    assert 'href="/runs/20261120T113000-00aa"' in open_page(caller, "/history")
    text = open_page(caller, "/runs/20261120T113000-00aa")
    assert "error   one &lt;script&gt;" in text
    assert "two" not in text.partition("<pre")[2]
    assert "very-secret" not in text
    assert "no lines for it" not in text
    assert "UTC</time> · 30 min 0 s</p>" in text
    assert "<code>quotemill run tdx --as-of" in re.sub("</?span[^>]*>", "", text)
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update ops.runs set command = 'backup' where run_id like '%bb'")
        at, figures = NOW - timedelta(minutes=2), {"models_built": 7}
        put_build(conn, "build", at, exit_code=0, seconds=120, figures=figures)
    for run_id, count in (("20261120T113000-00aa", 1), ("20261120T113000-00bb", 0)):
        part = open_page(caller, f"/runs/{run_id}/part")
        assert part.count('<a href="/builds/1">1</a></th><td><span class="good">') == count
        assert part.count("7 models, 0 rows") == count
    with psycopg.connect(prepared_dsn) as conn:
        conn.execute("update ops.runs set started_at = '2020-01-01', finished_at = '2020-01-02'")
    assert "no lines for it" in open_page(caller, "/runs/20261120T113000-00bb")
    for unknown in ("x", "..%2f..%2fsecret", "%00", "'; drop table ops.runs; --"):
        assert caller.get(f"/runs/{unknown}").status_code in (404, 422)


def test_a_build_of_the_history_has_its_lines_of_the_log(
    prepared_dsn: str, open_console: Open
) -> None:
    caller = open_console({"QUOTEMILL_WAREHOUSE_URL": prepared_dsn})
    at = f"{NOW:%FT%T}.1Z"
    line = {"at": at, "level": "error", "source": "dbt"}
    path = write_log(
        caller,
        line | {"build": 1, "event": f"one {NASTY} 收盘 password=of-the-log"},
        line | {"build": 11, "event": "eleven"},
        line | {"build": "1", "event": "no number"},
        line | {"job": 1, "event": "of a load", "detail": {"build": 1}},
        line | {"build": 1, "event": "earlier", "at": f"{NOW:%F}T02:00:00.000Z"},
        line | {"build": 1, "event": None},
        f'{{"at": "{at}", "level": "info", "build": 1, "event": "收盘"}}'.encode("gbk"),
    )
    assert "builds/1" not in open_page(caller, "/history")
    assert caller.get("/builds/1").status_code == 404
    with psycopg.connect(prepared_dsn) as conn:
        at, error = NOW - timedelta(minutes=3), "password=very-secret"
        put_build(conn, "by-steps", at, exit_code=1, seconds=180, error=error)
    assert '<a href="/builds/1">1</a>' in open_page(caller, "/history")
    text = open_page(caller, "/builds/1?lang=zh")
    assert "<p>by-steps</p>" in text
    shown = text.partition('<pre id="log"')[2].partition("</pre>")[0]
    assert shown.partition(">")[2].splitlines() == [
        f"{NOW:%F %T} UTC 错误      one &lt;script&gt;alert(1)&lt;/script&gt; 收盘 password=***"
    ]
    assert "very-secret" not in text
    assert "of-the-log" not in text
    for unknown in ("2", "0", str(2**63), "x", "1'--"):
        assert caller.get(f"/builds/{unknown}").status_code in (404, 422)
    path.unlink()
    path.mkdir()
    text = re.sub("</?span[^>]*>", "", open_page(caller, "/builds/1?lang=en"))
    assert re.search(f"{path} .*read", text)
    assert "failed" in text
