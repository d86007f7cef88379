"""Faults inside an answer: a truthful body goes in, the damaged one comes out."""

import json
from datetime import date, timedelta
from typing import Any

from loaders.sandbox.faults import Rule
from loaders.sandbox.tdx.wire import go_json

Row = dict[str, Any]


def damaged(body: bytes, rules: list[Rule], call: int, *, empty: list[Any] | None) -> bytes:
    """The body after all these rules; `call` is the number of the call, for values that change.

    `empty` is how the route writes no rows: null or [].
    """
    document = json.loads(body)
    data = document.get("data", document)
    for rule in rules:
        _damage(data if data is not None else document, rule, call, empty)
    return go_json(document) + b"\n"


def _list_key(data: Any) -> str | None:
    if isinstance(data, dict):
        for key in ("List", "list", "codes"):
            if key in data:
                return key
    return None


def _damage(data: Any, rule: Rule, call: int, empty: list[Any] | None) -> None:
    if isinstance(data, list):
        data[:] = _rows(data, rule, call)
        return
    key = _list_key(data)
    if key is None:
        _fields([data], rule)
        return
    rows = _rows(data[key] or [], rule, call)
    data[key] = rows or empty
    for counter in ("Count", "count", "total"):
        if counter in data:
            data[counter] = len(rows)
    if "covered_dates" in data:
        days = dict.fromkeys(str(row["time"])[:10].replace("-", "") for row in rows)
        data["covered_dates"] = sorted(days)


def _rows(rows: list[Any], rule: Rule, call: int) -> list[Any]:
    if rule.kind == "empty":
        return []
    if not rows:
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
        return _with_holiday(rows)
    if rule.kind == "high-below-low":
        at = int(rule.number("row"))
        rows[at]["High"], rows[at]["Low"] = rows[at]["Low"] - 10, rows[at]["High"] + 10
    elif rule.kind == "value":
        text = rule.option("value")
        number = text.removeprefix("-").isdigit()
        rows[int(rule.number("row"))][rule.option("field")] = int(text) if number else text
    elif rule.kind in ("unfinished", "provisional"):
        _unfinish(rows[-1], 2 if rule.kind == "unfinished" else 2 + call % 7)
    elif rule.kind == "noon-label":
        for row in rows:
            if isinstance(row.get("Time"), str):
                row["Time"] = row["Time"].replace("T11:30:", "T13:00:")
    else:
        _fields(rows, rule)
    return rows


def _unfinish(row: Row, part: int) -> None:
    """A row that is still growing: less turnover, and the close of a bar on the way from its open."""
    for name in ("Volume", "Amount", "Number", "volume", "TotalHand"):
        if name in row:
            row[name] = row[name] // part
    prices = row.get("K", row)
    if "Close" in prices and "Open" in prices:
        between = (prices["Open"] + prices["Close"]) // 20 * 10
        prices["Close"] = min(max(between, prices["Low"]), prices["High"])


def _with_holiday(rows: list[Row]) -> list[Row]:
    """The last bar before the newest gap of days is repeated on a day without trading."""
    for at in range(len(rows) - 1, 0, -1):
        before, after = (date.fromisoformat(rows[i]["Time"][:10]) for i in (at - 1, at))
        if (after - before).days > 1:
            closed = before + timedelta(days=1)
            extra = {**rows[at - 1], "Time": closed.isoformat() + rows[at - 1]["Time"][10:]}
            return [*rows[:at], extra, *rows[at:]]
    return rows


def _fields(rows: list[Any], rule: Rule) -> None:
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
