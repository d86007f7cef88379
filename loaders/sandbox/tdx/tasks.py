"""Routes of background tasks, which live in memory only.

Their results are files on the service's disk, which no route returns, so nothing is written here. A
pull of bars ends after the first request for it; a pull of ticks runs until it is cancelled.
"""

import random
import uuid
from datetime import datetime

from loaders.sandbox.tdx.calls import Call, Task
from loaders.sandbox.tdx.quotes import read_json
from loaders.sandbox.tdx.wire import ServiceError, go_json, parse_day

INTRADAY_TABLES = ("minute", "5minute", "15minute", "30minute", "hour")
TABLES = (*INTRADAY_TABLES, "day", "week", "month", "quarter", "year")


def _start(call: Call, kind: str, polls: int | None) -> bytes:
    state = call.state
    with state.lock:
        state.started_tasks += 1
        bits = random.Random(f"task {state.started_tasks}").getrandbits(128)
        task = Task(str(uuid.UUID(int=bits, version=4)), kind, state.clock, polls)
        state.tasks[task.id] = task
    return go_json({"task_id": task.id})


def _posted(call: Call) -> dict[str, object]:
    if call.request.method != "POST":
        raise ServiceError("只支持POST请求")
    return read_json(call.request.body)


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
    return go_json([_describe(call, task) for task in list(call.state.tasks.values())])


def task(call: Call) -> bytes:
    """GET of a task or POST of its cancel; other paths below it read the task."""
    task_id, _, rest = call.request.path.removeprefix("/api/tasks/").partition("/")
    if rest == "cancel":
        return _cancel(call, task_id)
    if call.request.method != "GET":
        raise ServiceError("只支持GET请求")
    match = call.state.tasks.get(task_id)
    if match is None:
        raise ServiceError("任务不存在")
    answer = go_json(_describe(call, match))
    if match.status == "running" and match.polls is not None:
        match.polls -= 1
        if match.polls <= 0:
            match.status, match.ended = "success", call.clock
    return answer


def _cancel(call: Call, task_id: str) -> bytes:
    if call.request.method != "POST":
        raise ServiceError("取消任务仅支持POST")
    match = call.state.tasks.get(task_id)
    if match is None or match.status != "running":
        raise ServiceError("任务不存在或已结束")
    match.status, match.ended = "cancelled", call.clock
    return go_json({"status": "cancelled", "task_id": task_id})


def _describe(call: Call, task: Task) -> dict[str, str]:
    zone = "Z" if call.state.options.zone == "utc" else "+08:00"

    def stamp(at: datetime) -> str:
        return at.isoformat(timespec="microseconds") + "000" + zone

    fields = {"id": task.id, "type": task.type, "status": task.status}
    fields["started_at"] = stamp(task.started)
    return fields | ({"ended_at": stamp(task.ended)} if task.ended else {})
