"""Faults inside an answer: change the rows or fields of a true body."""

import json
from datetime import date, timedelta
from typing import Any

from loaders.sandbox.faults import Rule
from loaders.sandbox.tdx.wire import go_json

Row = dict[str, Any]


def damage_body(body: bytes, rules: list[Rule], call: int, *, empty: list[Any] | None) -> bytes:
    """Apply rules to a body.

    call: number of the call, for values that change
    empty: how the route writes no rows, null or []
    """
    document = json.loads(body)
    data = document.get("data", document)
    for rule in rules:
        _apply(data if data is not None else document, rule, call, empty)
    return go_json(document) + b"\n"


def _find_list_key(data: Any) -> str | None:
    if isinstance(data, dict):
        for key in ("List", "list", "codes", "items"):
            if key in data:
                return key
    return None


def _apply(data: Any, rule: Rule, call: int, empty: list[Any] | None) -> None:
    if isinstance(data, list):
        data[:] = _damage_rows(data, rule, call)
        return
    key = _find_list_key(data)
    if key is None:
        _damage_fields([data], rule)
        return
    rows = _damage_rows(data[key] or [], rule, call)
    data[key] = rows or empty
    for counter in ("Count", "count", "total"):
        if counter in data:
            data[counter] = len(rows)
    if "covered_dates" in data:
        days = dict.fromkeys(str(row["time"])[:10].replace("-", "") for row in rows)
        data["covered_dates"] = sorted(days)


def _damage_rows(rows: list[Any], rule: Rule, call: int) -> list[Any]:
    if rule.kind == "empty":
        return []
    at = rule.integer("row") if "row" in rule.definition.options else 0
    if not -len(rows) <= at < len(rows):
        return rows
    if rule.kind == "short":
        return rows[-int(rule.number("keep")) :]
    if rule.kind == "stale":
        return rows[: -int(rule.number("rows"))]
    if rule.kind in ("duplicate", "duplicate-page"):
        border = max(len(rows) - int(rule.number("page")), 0)
        twice = rows[border:] if rule.kind == "duplicate-page" else rows[border : border + 1]
        return [*rows[:border], *twice, *rows[border:]]
    if rule.kind == "descending":
        return rows[::-1]
    if rule.kind == "holiday":
        return _add_holiday(rows)
    if rule.kind == "high-below-low":
        rows[at]["High"], rows[at]["Low"] = rows[at]["Low"] - 10, rows[at]["High"] + 10
    elif rule.kind == "value":
        text = rule.option("value")
        number = text.removeprefix("-").isdigit()
        rows[at][rule.option("field")] = int(text) if number else text
    elif rule.kind in ("unfinished", "provisional"):
        _unfinish(rows[-1], 2 if rule.kind == "unfinished" else 2 + call % 7)
    elif rule.kind == "noon-label":
        for row in rows:
            if isinstance(row.get("Time"), str):
                row["Time"] = row["Time"].replace("T11:30:", "T13:00:")
    else:
        _damage_fields(rows, rule)
    return rows


def _unfinish(row: Row, part: int) -> None:
    """Turn a row into one that still grows: less turnover, a close nearer to the open."""
    for name in ("Volume", "Amount", "Number", "volume", "TotalHand"):
        if name in row:
            row[name] = row[name] // part
    prices = row.get("K", row)
    if "Close" in prices and "Open" in prices:
        between = (prices["Open"] + prices["Close"]) // 20 * 10
        prices["Close"] = min(max(between, prices["Low"]), prices["High"])


def _add_holiday(rows: list[Row]) -> list[Row]:
    """Repeat the last bar before the newest gap of days on a day without trading."""
    for at in range(len(rows) - 1, 0, -1):
        before, after = (date.fromisoformat(rows[i]["Time"][:10]) for i in (at - 1, at))
        if (after - before).days > 1:
            closed = before + timedelta(days=1)
            extra = {**rows[at - 1], "Time": closed.isoformat() + rows[at - 1]["Time"][10:]}
            return [*rows[:at], extra, *rows[at:]]
    return rows


def _damage_fields(rows: list[Any], rule: Rule) -> None:
    for row in rows:
        if not isinstance(row, dict):
            continue
        name = rule.option("field")
        if rule.kind == "extra-field":
            row[name] = "x"
        elif rule.kind == "missing-field":
            row.pop(name, None)
        elif rule.kind == "string-number" and name in row:
            row[name] = str(row[name])
