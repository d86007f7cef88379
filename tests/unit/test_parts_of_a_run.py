"""`quotemill run` with a source in parts: what is built when, and what a failure ends."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from loaders import loads, sources
from loaders.engine.progress import Silent
from loaders.engine.request import LoadRequest
from loaders.engine.result import LoadResult
from loaders.settings import Settings
from orchestration.run import build, findings
from orchestration.run import stages as pipeline
from orchestration.run.build_result import BuildResult
from orchestration.run.findings import Judgement
from orchestration.run.stages import STAGES, RunResult
from quotemill.errors import LockHeldError, SettingsError, UpstreamError
from quotemill.warehouse.postgres import WarehouseAway


def silent() -> AbstractContextManager[Silent]:
    return nullcontext(Silent())


def loaded(
    source: str, status: str = "succeeded", code: int = 0, job: int | None = 1
) -> LoadResult:
    return LoadResult(job, source, status, code, (), (), None, "", 0.1)


@pytest.fixture
def did(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a run does, in its order; `one` has one part, `two` has two."""
    done: list[str] = []

    def find(name: str) -> Any:
        modes = ("first", "second")[: 2 if name == "two" else 1]
        requests = SimpleNamespace(
            parts=lambda _, r, __: tuple(replace(r, mode=mode) for mode in modes),
            now=lambda _: None,
            rests_since=lambda *_: None,
        )
        return SimpleNamespace(requests=requests)

    def built(*_: object, **__: object) -> BuildResult | None:
        done.append("build")
        return BuildResult(len(done), True, "build", 1, 1, 1, 0, 0, (), 0.1)

    def judge(*_: object, **__: object) -> Judgement:
        done.append("judge")
        return Judgement()

    conn = SimpleNamespace(execute=lambda *_: None)
    warehouse = SimpleNamespace(ask=lambda work: work(conn), inner_schema=lambda name: name)
    monkeypatch.setattr(sources, "find", find)
    monkeypatch.setattr(build, "build", built)
    monkeypatch.setattr(findings, "judge", judge)
    monkeypatch.setattr(pipeline, "open_warehouse", lambda _: warehouse)
    monkeypatch.setattr(findings, "explain_unadjusted", lambda *_: None)
    monkeypatch.setattr(pipeline, "read_lags", lambda *_: ())
    return done


def run(
    did: list[str], results: dict[str, LoadResult], *names: str, only: tuple[str, ...] = STAGES
) -> RunResult:
    def load(request: LoadRequest) -> LoadResult:
        did.append(f"{request.source} {request.mode}")
        return results.get(did[-1], loaded(request.source))

    requests = [LoadRequest(name) for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loads, "try_load", lambda _, request, *__, **___: load(request))
        return pipeline.run(Settings(), requests, silent, did.append, only=only)


def test_tables_are_built_between_the_parts_and_findings_judged_once(did: list[str]) -> None:
    result = run(did, {}, "one", "two")
    assert did == ["one first", "two first", "build", "two second", "build", "judge"]
    assert (result.exit_code, len(result.builds), len(result.loads)) == (0, 2, 3)
    assert result.build == result.builds[-1]


def test_sources_of_one_part_are_built_once(did: list[str]) -> None:
    run(did, {}, "one")
    assert did == ["one first", "build", "judge"]


def test_a_part_that_fails_ends_its_source_and_nothing_else(did: list[str]) -> None:
    gone = loaded("two", "failed", UpstreamError.exit_code)
    result = run(did, {"two first": gone}, "one", "two")
    assert did == ["one first", "two first", "build", "judge"]
    assert result.exit_code == UpstreamError.exit_code


def test_a_partial_part_and_a_held_lane_end_nothing(did: list[str]) -> None:
    for status, code in (("partial", 6), ("failed", LockHeldError.exit_code)):
        did.clear()
        result = run(did, {"two first": loaded("two", status, code)}, "two")
        assert did == ["two first", "build", "two second", "build", "judge"]
        assert result.exit_code == code


def test_a_held_build_lock_stops_no_load(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    held = [True, False]
    works = build.build

    def built(*given: Any, **more: Any) -> BuildResult | None:
        if held.pop(0):
            did.append("held")
            raise LockHeldError("another build runs")
        return works(*given, **more)

    monkeypatch.setattr(build, "build", built)
    result = run(did, {}, "two", "one")
    assert did == ["two first", "one first", "held", "two second", "build", "judge"]
    assert (result.exit_code, result.error) == (0, None)
    did.clear()
    held += [True, True, True]  # the last one after all loads, with a wait
    result = run(did, {}, "two", "one")
    assert did == ["two first", "one first", "held", "two second", "held", "held"]
    assert (result.exit_code, result.error_code) == (75, 75)


def test_nothing_is_built_if_no_load_started(did: list[str]) -> None:
    refused = loaded("two", "failed", 3, None)
    assert run(did, {"two first": refused}, "two").exit_code == 3
    assert did == ["two first"]
    did.clear()
    held = loaded("two", "failed", LockHeldError.exit_code, None)
    run(did, {"two second": held}, "two")
    assert did == ["two first", "build", "two second", "judge"]


def test_a_source_that_cannot_name_its_parts_stops_no_other(
    did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = sources.find

    def broken(*_: object) -> Any:
        raise SettingsError("universe.csv, line 3: weight 'x' is no number", hint="correct it")

    both = SimpleNamespace(parts=broken, now=broken)

    def find_or_fail(name: str) -> Any:
        return SimpleNamespace(requests=both) if name == "broken" else find(name)

    monkeypatch.setattr(sources, "find", find_or_fail)
    result = run(did, {}, "broken", "one")
    assert did[1:] == ["one first", "build", "judge"]
    assert did[0].startswith("broken: universe.csv, line 3")
    assert (result.exit_code, result.as_json()["hint"]) == (SettingsError.exit_code, "correct it")
    results = loads.load_parts(Settings(), LoadRequest("broken"), silent, is_only=False)
    assert [r.exit_code for r in results] == [SettingsError.exit_code]
    # of the only source it is an error of the command, and the log has to know whose
    with pytest.raises(SettingsError) as caught:
        loads.load_parts(Settings(), LoadRequest("broken"), silent)
    assert caught.value.source == "broken"


def test_a_refused_build_hides_no_finding(did: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def refuse(*_: object, **__: object) -> None:
        raise SettingsError("permission denied", hint="grant it")

    def judge(*_: object, **given: Any) -> Judgement:
        asked.append(given)
        return Judgement({"error": 1}, ringing=1, newest=7)

    monkeypatch.setattr(build, "build", refuse)
    monkeypatch.setattr(findings, "judge", judge)
    result = run(did, {}, "one")
    # reported by a night whose exit code can say so
    assert asked == [{"unbuilt": None, "report": False, "lists": True}]
    assert (result.exit_code, result.error, result.hint) == (3, "permission denied", "grant it")
    assert result.judgement is not None
    away = WarehouseAway("connection refused")
    monkeypatch.setattr(build, "build", Mock(side_effect=away))
    assert run(did, {}, "one").judgement is None
    assert len(asked) == 1


def test_a_cancelled_part_ends_the_run(did: list[str]) -> None:
    result = run(did, {"two second": loaded("two", "cancelled", 6)}, "two")
    assert did == ["two first", "build", "two second"]
    assert (result.judgement, len(result.builds)) == (None, 1)


def test_the_results_of_loads_survive_an_unreachable_warehouse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def gone(_: Settings) -> None:
        raise WarehouseAway("connection refused")

    monkeypatch.setattr(loads, "find_warehouse", gone)
    [line] = loads.remaining_work(Settings(), ["one"])
    assert "connection refused" in line
    assert loads.remaining_work(Settings(), []) == []


def test_a_run_is_judged_by_the_clock_of_its_only_source(
    did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values_sent: list[Any] = []
    past = datetime(2026, 11, 19, 15, tzinfo=UTC)
    find = sources.find

    def with_clock(name: str) -> Any:
        source = find(name)
        source.requests.now = lambda _: past
        return source

    # settings without values are those of every session
    conn = SimpleNamespace(execute=lambda _, *values: values_sent.extend(values))
    warehouse = SimpleNamespace(ask=lambda work: work(conn), inner_schema=lambda name: name)
    monkeypatch.setattr(sources, "find", with_clock)
    monkeypatch.setattr(pipeline, "open_warehouse", lambda _: warehouse)
    run(did, {}, "one")
    assert values_sent == [(past.isoformat(),)]
    run(did, {}, "one", "two")  # of several none speaks for all
    assert len(values_sent) == 1
    later = past + timedelta(hours=1)
    monkeypatch.setattr(loads, "try_load", lambda _, r, *__, **___: loaded(r.source))
    pipeline.run(Settings(), [LoadRequest("one")], silent, did.append, later)
    assert values_sent[1:] == [(later.isoformat(),)]


def test_stages_run_alone(did: list[str]) -> None:
    run(did, {}, "two", only=("load",))
    assert did == ["two first", "two second"]
    for stages, done in (
        (("build",), ["build"]),
        (("qa",), ["judge"]),
        (("build", "qa"), ["build", "judge"]),
        (("archive", "alerts"), []),
    ):
        did.clear()
        assert run(did, {}, "two", only=stages).exit_code == 0
        assert did == done


def test_a_resting_source_is_not_loaded_but_built(
    did: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rests(_: Settings, request: LoadRequest, __: object) -> str | None:
        return "no session today: nothing to do" if request.source == "one" else None

    monkeypatch.setattr(pipeline, "nothing_to_do", rests)
    result = run(did, {}, "one")
    assert did == ["one: no session today: nothing to do", "build", "judge"]
    assert [(load.status, load.is_resting) for load in result.loads] == [("not due", True)]
    did.clear()
    run(did, {}, "one", "two")
    assert did[1:] == ["two first", "build", "two second", "build", "judge"]
    did.clear()
    monkeypatch.setattr(build, "build", lambda *_, **__: None)  # nothing is left of an earlier run
    assert run(did, {}, "one").judgement is None
    assert did == ["one: no session today: nothing to do"]
    did.clear()
    run(did, {}, "one", only=("load", "build", "qa"))  # whatever the calendar says
    assert did == ["one first", "judge"]


@pytest.mark.parametrize(
    ("code", "is_standing", "hides"),
    [(0, False, False), (5, False, False), (6, True, False), (6, False, True), (4, False, True)],
)
def test_keys_that_failed_before_hide_no_new_finding(
    code: int, is_standing: bool, hides: bool
) -> None:
    failed = replace(loaded("tdx", "partial", code), is_standing=is_standing)
    assert pipeline.hides_findings([loaded("ib"), failed], code) is hides
