"""Routes of background tasks, which live in memory only.

Their results are files on the service's own disk, which no route returns, so nothing is written here.
A pull of bars ends after the first look at it; a pull of ticks runs until it is cancelled.
"""

import random
import uuid
from datetime import datetime

from loaders.sandbox.tdx.calls import Call, Task
from loaders.sandbox.tdx.quotes import json_body
from loaders.sandbox.tdx.wire import ServiceError, go_json, parse_day

TABLES = (
    *("minute", "5minute", "15minute", "30minute", "hour"),
    *("day", "week", "month", "quarter", "year"),
)


def _start(call: Call, kind: str, looks: int | None) -> bytes:
    state = call.state
    with state.lock:
        state.started_tasks += 1
        bits = random.Random(f"task {state.started_tasks}").getrandbits(128)
        task = Task(str(uuid.UUID(int=bits, version=4)), kind, state.clock, looks)
        state.tasks[task.id] = task
    return go_json({"task_id": task.id})


def _posted(call: Call) -> dict[str, object]:
    if call.request.method != "POST":
        raise ServiceError("只支持POST请求")
    return json_body(call.request.body)


def pull_kline(call: Call) -> bytes:
    body = _posted(call)
    tables = body.get("tables")
    if isinstance(tables, list) and tables and not any(name in TABLES for name in tables):
        raise ServiceError("tables参数无效")
    start = body.get("start_date")
    if start and parse_day(str(start)) is None:
        raise ServiceError("start_date格式错误，应为YYYY-MM-DD或YYYYMMDD")
    return _start(call, "pull_kline", 1)


def pull_trade(call: Call) -> bytes:
    if not _posted(call).get("code"):
        raise ServiceError("code不能为空")
    return _start(call, "pull_trade", None)


def tasks(call: Call) -> bytes:
    if call.request.method != "GET":
        raise ServiceError("只支持GET请求")
    return go_json([_shown(call, task) for task in list(call.state.tasks.values())])


def task(call: Call) -> bytes:
    """GET of a task, or the cancel below it; anything else behind the id is read as the id's GET."""
    task_id, _, rest = call.request.path.removeprefix("/api/tasks/").partition("/")
    if rest == "cancel":
        return _cancel(call, task_id)
    if call.request.method != "GET":
        raise ServiceError("只支持GET请求")
    found = call.state.tasks.get(task_id)
    if found is None:
        raise ServiceError("任务不存在")
    answer = go_json(_shown(call, found))
    if found.status == "running" and found.looks is not None:
        found.looks -= 1
        if found.looks <= 0:
            found.status, found.ended = "success", call.clock
    return answer


def _cancel(call: Call, task_id: str) -> bytes:
    if call.request.method != "POST":
        raise ServiceError("取消任务仅支持POST")
    found = call.state.tasks.get(task_id)
    if found is None or found.status != "running":
        raise ServiceError("任务不存在或已结束")
    found.status, found.ended = "cancelled", call.clock
    return go_json({"status": "cancelled", "task_id": task_id})


def _shown(call: Call, found: Task) -> dict[str, str]:
    zone = "Z" if call.state.options.zone == "utc" else "+08:00"

    def stamp(at: datetime) -> str:
        return at.isoformat(timespec="microseconds") + "000" + zone

    shown = {"id": found.id, "type": found.type, "status": found.status}
    shown["started_at"] = stamp(found.started)
    return shown | ({"ended_at": stamp(found.ended)} if found.ended else {})
