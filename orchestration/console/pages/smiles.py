"""The smile of an option chain as SVG; each point has its figures as a title."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT, LEFT, FOOT = 960, 300, 56, 18
LABELS = 8  # beneath a picture


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


def draw_smile(series: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Markup:
    """Volatilities by strike, a series of points for calls and one for puts."""
    points = [point for line in series.values() for point in line]
    if not points:
        return Markup("")
    strikes = sorted({strike for strike, _ in points})
    low, span = strikes[0], (strikes[-1] - strikes[0]) or 1.0

    def place(strike: float) -> float:
        return round(LEFT + 16 + (WIDTH - LEFT - 40) * (strike - low) / span, 1)

    scale = Scale(min(iv for _, iv in points), max(iv for _, iv in points), 6, HEIGHT)
    parts = list(_draw_axis(scale))
    for kind, line in series.items():
        places = [(place(strike), scale(iv), strike, iv) for strike, iv in line]
        path = "".join(f"{'L' if n else 'M'}{x} {y}" for n, (x, y, _, _) in enumerate(places))
        parts.append(f'<path class="line {kind}" fill="none" d="{path}"/>')
        parts += [
            f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"><title>{kind} {strike:g}: {iv:.4f}'
            "</title></circle>"
            for x, y, strike, iv in places
        ]
    shown = strikes[:: -(-len(strikes) // LABELS)]
    parts += [
        f'<text x="{place(strike)}" y="{HEIGHT + 12 + FOOT - 4}" text-anchor="middle">'
        f"{strike:g}</text>"
        for strike in shown
    ]
    return _wrap(parts, HEIGHT + 12 + FOOT, title)


def _draw_axis(scale: Scale) -> Iterator[str]:
    for n in range(5):
        value = scale.low + (scale.high - scale.low) * n / 4
        y = scale(value)
        yield f'<path class="rule" d="M{LEFT} {y}H{WIDTH}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{value:.4g}</text>'


def _wrap(parts: Sequence[str], height: float, title: str) -> Markup:
    shown = escape(title)
    return Markup(
        f'<svg class="candles" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{shown}">'
        f"{''.join(parts)}</svg>"
    )
