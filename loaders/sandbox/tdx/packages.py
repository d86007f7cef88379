"""The vendor's site: a zip of each trading day's bars, and gbbq with the sectors in a zip.

/products/data/data/g4day/20250630.zip
    sh250630.cod   150 bytes a code: code at 0, number (u16) at 32, name (GBK) at 40
    sh250630.md1   512 bytes a number: f64 previous close at 4, open, high, low, close, u64
                   shares at 56, f64 yuan at 72, u16 up at 152, u16 down at 232
/products/data/data/dbf/gbbq.zip    gbbq, and zhb.zip with the sectors
"""

import io
import zipfile
from collections.abc import Mapping
from datetime import date, time, timedelta

import numpy as np

from loaders.sandbox.tdx import wire
from loaders.sandbox.tdx.calls import Call
from loaders.sandbox.tdx.client_files import capital_events, sector_files
from loaders.sandbox.tdx.vipdoc_files import parse_day, price_scale
from loaders.sandbox.tdx.wire import Reply
from loaders.sandbox.world.world import Security, World

PLACE = "/products/data/data/"
ROUTES = {"g4day": "g4day/", "gbbq": "dbf/gbbq.zip"}
PUBLISHED = time(17, 0)
_PRICES = ("prev", "open", "high", "low", "close")
CODES = np.dtype(
    {
        "names": ["code", "number", "name"],
        "formats": ["S6", "<u2", "S32"],
        "offsets": [0, 32, 40],
        "itemsize": 150,
    }
)
BARS = np.dtype(
    {
        "names": [*_PRICES, "volume", "amount", "up", "down"],
        "formats": [*["<f8"] * 5, "<u8", "<f8", "<u2", "<u2"],
        "offsets": [4, 12, 20, 28, 36, 56, 72, 152, 232],
        "itemsize": 512,
    }
)


def find_package(path: str) -> str | None:
    """The route of a path at the vendor's site."""
    name = path.removeprefix(PLACE)
    return next((r for r, start in ROUTES.items() if name != path and name.startswith(start)), None)


def answer(call: Call, route: str) -> Reply:
    """A package; 404 on days without one, and before 17:00 of its day."""
    if route == "gbbq":
        content = pack(
            {"gbbq": capital_events(call.world), "zhb.zip": pack(sector_files(call.world))}
        )
        return Reply(content, content_type=wire.ZIP_TYPE)
    digits = call.request.path.rpartition("/")[2].removesuffix(".zip")
    day = parse_day(int(digits)) if digits.isdigit() else None
    newest = call.today - timedelta(days=call.clock.time() < PUBLISHED)
    if day is None or day not in call.world.days or day > newest or call.hit("package-missing"):
        return Reply(b"<html><body>404</body></html>\n", 404, wire.HTML_TYPE)
    shown = call.world.days[call.world.days.index(day) - 1] if call.hit("package-old") else day
    part = call.hit("package-part")
    return Reply(day_package(call.world, day, shown, 3 if part else 1), content_type=wire.ZIP_TYPE)


def day_package(world: World, day: date, shown: date, step: int = 1) -> bytes:
    """The package of a day with the bars of `shown`, of every `step`-th code."""
    files = dict[str, bytes]()
    for exchange in ("sh", "sz", "bj"):
        listed = [s for s in world.securities if s.exchange == exchange and s.listed <= day]
        listed = listed[::step]
        codes, bars = np.zeros(len(listed), CODES), np.zeros(len(listed), BARS)
        for i, security in enumerate(listed):
            number = len(listed) - 1 - i  # rows belong together by number, not by place
            codes[i] = security.digits.encode(), number, security.name.encode("gbk")
            _fill(bars, number, world, security, shown)
        stem = f"{exchange}{day:%y%m%d}"
        files |= {f"{stem}.cod": codes.tobytes(), f"{stem}.md1": bars.tobytes()}
    return pack(files)


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip of some files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return packed.getvalue()


def _fill(bars: np.ndarray, at: int, world: World, security: Security, day: date) -> None:
    known = world.day_bars(security.code)
    days = [stamp[:10] for stamp in known.stamps]
    if day.isoformat() not in days:
        return
    i = days.index(day.isoformat())
    scale = price_scale(security.code, security.kind)  # of the client's files, which agree
    for name in _PRICES[1:]:
        bars[name][at] = getattr(known, name)[i] // scale * scale / 1000
    bars["prev"][at] = known.close[max(i - 1, 0)] // scale * scale / 1000
    hands = security.kind == "index"
    bars["volume"][at] = known.volume[i] if hands else known.volume[i] * 100 + known.odd[i]
    bars["amount"][at] = known.amount[i] / 1000
    bars["up"][at], bars["down"][at] = known.up[i], known.down[i]
