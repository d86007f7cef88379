"""The catalogue has every text of the pages, and nothing that nobody says."""

import ast
import re
from collections.abc import Iterable, Iterator
from inspect import getdoc
from pathlib import Path

import pytest

from loaders.settings.listing import list_settings
from loaders.settings.model import Settings
from loaders.settings.sections import section_types
from orchestration.console.pages.site import write_line
from orchestration.console.pages.words import Words, catalogue, translate
from quotemill.settings.allowed import describe_allowed
from quotemill.warehouse import postgres
from tests import write_reference

ROOT = Path(__file__).parents[3]
PLACE = ROOT / "orchestration" / "console"
CALLS = re.compile(r"""\bt\(\s*"((?:[^"\\]|\\.)*)\"""")
ERRORS = re.compile(
    r"(?!Assertion)\w+Error|Busy|NotThere|Forbidden|NotDue|Outage|Implausible|\w+Missing"
)
# whose errors pages show: of loads, of the warehouse, and of commands that pages start
OTHERS = [f"loaders/{n}" for n in ("engine", "files", "ib", "landing", "requests", "tdx", "ticks")]
OTHERS += ["loaders/tq", "loaders/warehouse"]
OTHERS += [f"quotemill/{name}" for name in ("readers", "settings", "ticks", "warehouse")]
COMMANDS = """
    alerts/channels archive/alone archive/old_days archive/retention archive/store archive/views
    archive/write backup/folder checks/reconcile run/build run/build_record run/quick_dbt
    run/seed_files schedule/install/place schedule/install/write schedule/jobs schedule/runner
"""
OTHERS += [f"orchestration/{name}.py" for name in COMMANDS.split()]
# whose failures, warnings and log lines pages show, too
LOADS = ("loaders/engine", "loaders/ib", "loaders/tdx", "loaders/tq", "quotemill/readers")
# which give the checks of doctor, status and the connection test
CHECKS = [f"orchestration/checks/{n}.py" for n in ("folders", "warehouse", "unattended", "records")]
CHECKS += ["loaders/check.py", "loaders/warehouse/disks.py", "orchestration/schedule/ledger.py"]
CHECKS += ["loaders/engine/load_checks.py", "loaders/tdx/doctor.py", "loaders/tq/doctor.py"]


def read_texts() -> set[str]:
    """Every text that a template passes to `t`, and that the code about pages marks."""
    texts: set[str] = set()
    shared = (PLACE.parent / "report").glob("_*.html")
    for path in [*(PLACE / "templates").glob("*.html"), *shared]:
        texts |= set(CALLS.findall(path.read_text("utf-8")))
    for path in (PLACE / "pages").glob("*.py"):
        texts |= set(re.findall(r"""\bmark\(\s*"([^"]*)"\s*\)""", path.read_text("utf-8")))
    return texts


def read_meanings() -> set[str]:
    """What the form of the settings says about them."""
    rows = list_settings(Settings())
    fields = [field for _, field in write_reference.settings()]
    texts = {field.description or "" for field in fields} | set(map(describe_allowed, fields))
    texts |= {getdoc(kind) or "" for kind in section_types().values() if isinstance(kind, type)}
    return texts | {str(choice).lower() for row in rows for choice in row.choices} - {""}


def read_nodes(place: str) -> Iterator[ast.AST]:
    """The code of a module, or of all modules of a folder."""
    path = ROOT / place
    for module in path.rglob("*.py") if path.is_dir() else [path]:
        if module.name != "serve.py":  # of the command, in a terminal
            yield from ast.walk(ast.parse(module.read_text("utf-8")))


def read_errors(place: str) -> Iterator[str]:
    """The messages and hints that are raised; a value of one is an X."""
    for node in read_nodes(place):
        if isinstance(node, ast.Call) and ERRORS.fullmatch(getattr(node.func, "id", "")):
            yield from read_values(*node.args, *(keyword.value for keyword in node.keywords))


def read_said(place: str) -> Iterator[str]:
    """What loads say of keys, also by functions that describe it."""
    for node in read_nodes(place):
        match node:
            case ast.Call(
                func=ast.Name(id="BrokenRule" | "Outcome" | "Refused" | "replace")
                | ast.Attribute(attr="log" | "note" | "warn")
            ):
                yield from read_values(*node.args, *(keyword.value for keyword in node.keywords))
            case (
                ast.Return(value=ast.expr() as value)
                | ast.Assign(targets=[ast.Name(id="hint" | "text" | "why")], value=value)
            ):
                yield from read_values(value)


def read_checks(place: str) -> Iterator[str]:
    """The sentences and fixes of a module's checks, also those it first gives a name."""
    for node in read_nodes(place):
        match node:
            case ast.Call(func=ast.Name(id="Check"), args=[_, _, *values]):
                yield from read_values(*values)
            case ast.Assign(targets=[ast.Name(id="text" | "fix" | "hint" | "why")], value=value):
                yield from read_values(value)


def read_values(*values: ast.expr) -> Iterator[str]:
    """Texts whose values are an X; none of other expressions."""
    for value in values:
        match value:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                text = "".join(
                    str(getattr(part, "value", "X1")) if isinstance(part, ast.Constant) else "X1"
                    for part in parts
                )
                yield re.sub(r"(?<=[\w)])X1", "", text)  # what may be added
            case ast.IfExp(body=body, orelse=other):
                yield from read_values(body, other)


def find_unsaid(texts: Iterable[str]) -> list[str]:
    """Sentences without Chinese; not words, nor SQL, which is in brackets."""
    sentences = {text for text in texts if re.search(r"^[^(]*([a-z] [a-z]|[a-z]: )", text)}
    return sorted(text for text in sentences if translate(text) is None)


def test_every_text_of_a_page_has_its_chinese() -> None:
    assert sorted(read_texts() - set(catalogue())) == []
    assert sorted(text for text in read_meanings() if translate(text) is None) == []


@pytest.mark.parametrize("place", ["orchestration/console", *OTHERS])
def test_every_error_that_pages_show_has_its_chinese(place: str) -> None:
    assert find_unsaid(read_errors(place)) == []


@pytest.mark.parametrize("place", LOADS)
def test_all_that_loads_say_has_its_chinese(place: str) -> None:
    assert find_unsaid(read_said(place)) == []


@pytest.mark.parametrize("place", CHECKS)
def test_every_check_that_pages_show_has_its_chinese(place: str) -> None:
    assert find_unsaid(read_checks(place)) == []


def test_every_hint_about_a_warehouse_away_has_its_chinese() -> None:
    fixes = {fix for _, fix in postgres._FIXES} | {postgres._ANY_FIX}
    texts = {fix.format(origin="environment QUOTEMILL_WAREHOUSE_URL") for fix in fixes}
    texts.add("the warehouse me@db:5432/x cannot be reached: Connection refused")
    assert sorted(text for text in texts if translate(text) is None) == []


def test_the_catalogue_has_no_text_that_nobody_says() -> None:
    """Of a message all parts between its values and marks stand in the code, in SQL or a seed."""
    folders = ("loaders", "orchestration", "quotemill", "dbt_project/models/qa", "macros", "seeds")
    files = [
        p for f in folders for p in (ROOT / f).rglob("*") if p.suffix in (".py", ".sql", ".csv")
    ]
    code = "".join(path.read_text("utf-8") for path in files)
    code = (
        code.replace("''", "’").replace('\\"', '"').replace("%%", "%")
    )  # as SQL and Python write them
    code = re.sub(r"""["']\s*(?:\|\|)?\s*f?["']""", "", code)  # a text in several lines
    code = " ".join(code.replace("’", "'").split())
    said = read_texts() | read_meanings()
    unsaid = [
        text
        for text in catalogue().keys() - said
        if any(part.strip() not in code for part in re.split(r"\{\d\}|[:;,.] ", text))
    ]
    assert not unsaid, "\n".join(sorted(unsaid))


def test_each_value_of_a_text_is_in_its_chinese_too() -> None:
    for english, chinese in catalogue().items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), english
        assert chinese.count("`") % 2 == 0, english


def test_a_text_is_shown_in_the_language_of_the_reader() -> None:
    assert Words("en")("Overview") == "Overview"
    assert Words("zh")("Overview") == "总览"
    assert Words("zh")("no such text") == "“no such text”"
    assert Words("zh")("build 1 failed: no such text") == "构建 1 失败：“no such text”"
    assert Words("zh")("internal error: KeyError: 'x'") == "内部错误：“KeyError: 'x'”"
    assert Words("zh")("all {count}", count=3) == "全部 3 项"


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        ("2 warnings (1 new), 3 info", "2 个警告（1 个新增），3 个提示"),
        ("load 2 of tdx partial: 8 keys failed", "`tdx` 的加载 2 部分失败：8 个代码加载失败"),
        ("tdx is not configured: IB_HOST is not set", "`tdx` 尚未配置：未设置 `IB_HOST`"),
        (
            "embedded PostgreSQL 18 (/srv/home/socket) (default: embedded server)",
            "内置 PostgreSQL 18（/srv/home/socket）（默认：内置 PostgreSQL）",
        ),
        (
            "keys that load 2 of tq could not load: main_events SHFE.cu history and 1 more: "
            "the source shows nothing of SHFE.cu after its start, "
            "although the trading day 2026-11-26 has ended: "
            "the source has stopped updating (history)",
            "`tq` 的加载 2 中加载失败的代码：`main_events SHFE.cu history` 及另外 1 个："
            "数据源在 其起点 之后没有 `SHFE.cu` 的内容，而交易日 2026-11-26 已结束：数据源已停止更新（历史行情）",
        ),
        (
            "build 2 starts: dbt build --exclude tag:one tag:two",
            "构建 2 开始：`dbt build --exclude tag:one tag:two`",
        ),
        (
            "Report this bug and attach /a.log, which has the traceback.",
            "请报告此问题，并附上 `/a.log`（内有完整的错误堆栈）",
        ),
        ("no option chain for AAPL on 2026-11-25", "没有 `AAPL` 在 2026-11-25 的期权链"),
        (
            "no option chain for AAPL on 2026-11-25 at 03:00",
            "没有 `AAPL` 在 2026-11-25 03:00 的期权链",
        ),
        ("environment QUOTEMILL_WAREHOUSE_URL", "环境变量 `QUOTEMILL_WAREHOUSE_URL`"),
        ("Check the host's name (environment DB_HOST).", "请检查主机名（`环境变量 DB_HOST`）"),
        ("load 6 starts: mapping", "加载 6 开始：主力映射"),
        ("load 6 partial", "加载 6 部分失败"),
        ("Choose a slot of the day: 10:00, 10:30.", "请选择当日的采样时点：`10:00, 10:30`"),
        ("cannot connect to http://127.0.0.1:9", "无法连接 `http://127.0.0.1:9`"),
        ("a list, each monthly or weekly", "列表，每项为月度或周度"),
        ("the models of a_day + b_c", "由 `a_day + b_c` 生成的表"),
        ("stage 1 is not open; nobody knows", None),
        ("row contains (sh600000, t, f). compiled", None),
        (
            "TDX service outage: still down after 5 retries (/api/codes: `x` 1) "
            "(Check the service and tdx.base_url with `loaders check tdx`, "
            "then run `quotemill retry`.)",
            "TDX 服务中断：重试 5 次后仍不可用（`/api/codes: x 1`）"
            "（请用 `loaders check tdx` 检查服务和 `tdx.base_url`，然后执行 `quotemill retry`）",
        ),
    ],
)
def test_a_message_is_chinese_with_its_values_or_stays(english: str, chinese: str | None) -> None:
    assert translate(english) == chinese


@pytest.mark.parametrize(
    "event", ["contract_daily: 1 of 2 failed: no response", "1 of 2 failed: no response"]
)
def test_a_line_of_a_log_names_its_dataset_once(event: str) -> None:
    line = {"at": "2026-11-20T12:00:00+00:00", "level": "info", "dataset": "contract_daily"}
    written = write_line({"t": Words("en"), "zone": "UTC"}, line | {"event": event})
    assert written.count("contract_daily") == 1
    assert written.endswith("1 of 2 failed: no response")
