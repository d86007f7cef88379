"""Pictures of prices as SVG: candles with volume, a line with marks, a smile of volatilities.

Each mark has its figures as a title, which a browser shows beneath the pointer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

WIDTH, HEIGHT, VOLUME, LEFT, FOOT = 960, 300, 60, 56, 18
LABELS = 6  # beneath a picture
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """Values between two ends as heights in points."""

    low: float
    high: float
    top: float
    height: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return round(self.top + self.height * (1 - (float(value) - self.low) / span), 1)


def draw_candles(rows: Sequence[Row], time: str, marks: Mapping[str, str], title: str) -> Markup:
    """Bars with open, high, low, close and volume_shares; `marks` are texts by trade_date."""
    if not rows:
        return Markup("")
    prices = Scale(
        min(float(row["low"]) for row in rows), max(float(row["high"]) for row in rows), 6, HEIGHT
    )
    most = max((row.get("volume_shares") or 0 for row in rows), default=0) or 1
    step = (WIDTH - LEFT) / len(rows)
    parts = list(_draw_axis(prices))
    base = HEIGHT + VOLUME + 12
    shown: set[str] = set()
    for n, row in enumerate(rows):
        x, middle = round(LEFT + n * step, 1), round(LEFT + (n + 0.5) * step, 1)
        width = max(round(step * 0.7, 1), 0.6)
        top = prices(max(row["open"], row["close"]))
        height = max(round(prices(min(row["open"], row["close"])) - top, 1), 0.6)
        day = str(row["trade_date"])
        if day in marks and day not in shown:
            shown.add(day)
            parts.append(
                f'<path class="event" d="M{middle} 6V{base}"><title>{escape(marks[day])}</title>'
                "</path>"
            )
        volume = round(VOLUME * (row.get("volume_shares") or 0) / most, 1)
        kind = "up" if row["close"] >= row["open"] else "down"
        said = escape(
            f"{row[time]}: {row['open']} {row['high']} {row['low']} {row['close']}, "
            f"{row.get('volume_shares') or 0:,}"
        )
        parts.append(
            f'<g class="{kind}"><title>{said}</title>'
            f'<path d="M{middle} {prices(row["high"])}V{prices(row["low"])}"/>'
            f'<rect x="{x}" y="{top}" width="{width}" height="{height}"/></g>'
            f'<rect class="volume" x="{x}" y="{round(base - volume, 1)}" width="{width}" '
            f'height="{volume}"/>'
        )
    parts += _draw_labels([str(row[time])[:16] for row in rows], base + FOOT - 4)
    return _wrap(parts, base + FOOT, title)


def draw_line(
    points: Sequence[tuple[str, float | None]], marks: Mapping[str, str], title: str
) -> Markup:
    """A value by day; gaps where it is None; `marks` are texts by day."""
    known = [value for _, value in points if value is not None]
    if not known:
        return Markup("")
    scale = Scale(min(known), max(known), 6, HEIGHT)
    step = (WIDTH - LEFT) / len(points)
    parts, path, is_open = list(_draw_axis(scale)), "", False
    for n, (day, value) in enumerate(points):
        x = round(LEFT + (n + 0.5) * step, 1)
        if day in marks:
            parts.append(
                f'<path class="event" d="M{x} 6V{HEIGHT + 6}"><title>{escape(marks[day])}</title>'
                "</path>"
            )
        if value is None:
            is_open = False
            continue
        path += f"{'L' if is_open else 'M'}{x} {scale(value)}"
        is_open = True
    parts.append(f'<path class="line call" fill="none" d="{path}"/>')
    parts += _draw_labels([day for day, _ in points], HEIGHT + 12 + FOOT - 4)
    return _wrap(parts, HEIGHT + 12 + FOOT, title)


def draw_smile(series: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Markup:
    """Volatilities by strike, a series of points for calls and one for puts."""
    points = [point for line in series.values() for point in line]
    if not points:
        return Markup("")
    strikes = [strike for strike, _ in points]
    low, span = min(strikes), (max(strikes) - min(strikes)) or 1.0
    scale = Scale(min(iv for _, iv in points), max(iv for _, iv in points), 6, HEIGHT)
    parts = list(_draw_axis(scale))
    for kind, line in series.items():
        places = [
            (
                round(LEFT + 8 + (WIDTH - LEFT - 16) * (strike - low) / span, 1),
                scale(iv),
                strike,
                iv,
            )
            for strike, iv in line
        ]
        path = "".join(f"{'L' if n else 'M'}{x} {y}" for n, (x, y, _, _) in enumerate(places))
        parts.append(f'<path class="line {kind}" fill="none" d="{path}"/>')
        parts += [
            f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"><title>{kind} {strike:g}: {iv:.4f}'
            "</title></circle>"
            for x, y, strike, iv in places
        ]
    listed = sorted(set(strikes))
    parts += _draw_labels([f"{strike:g}" for strike in listed], HEIGHT + 12 + FOOT - 4)
    return _wrap(parts, HEIGHT + 12 + FOOT, title)


def _draw_axis(scale: Scale) -> Iterator[str]:
    for n in range(5):
        value = scale.low + (scale.high - scale.low) * n / 4
        y = scale(value)
        yield f'<path class="rule" d="M{LEFT} {y}H{WIDTH}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.4g}</text>'


def _draw_labels(texts: Sequence[str], y: float) -> Iterator[str]:
    step = (WIDTH - LEFT) / len(texts)
    every = max(1, len(texts) // LABELS)
    for n in range(0, len(texts), every):
        x = round(LEFT + (n + 0.5) * step, 1)
        yield f'<text x="{x}" y="{y}" text-anchor="middle">{escape(texts[n])}</text>'


def _wrap(parts: Sequence[str], height: float, title: str) -> Markup:
    shown = escape(title)
    return Markup(
        f'<svg class="candles" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{shown}">'
        f"{''.join(parts)}</svg>"
    )
