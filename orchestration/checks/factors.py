"""The service's adjustment factors beside our adjusted closes: compared, never stored."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date

from loaders.check import Check
from loaders.settings import Settings
from loaders.tdx.client.answers import NoRoute
from loaders.tdx.client.client import TdxClient
from quotemill.errors import DataQualityError, UpstreamError
from quotemill.warehouse.postgres import Warehouse

NAME = "adjustment_factors"
Factors = Mapping[str, Mapping[date, float]]
# prices as of the newest day with a factor, as in int_reconcile__vendor_prices
COMPARED = """
    with factors as (
        select *, max(day) over (partition by code) as vendor_date
        from unnest(%s::text[], %s::date[], %s::float8[]) as f (code, day, factor)
    )
    select
        f.code,
        abs(
            round(
                (coalesce(s.backward_a, 1) * k.close + coalesce(s.backward_b, 0)
                    - coalesce(t.backward_b, 0)) / coalesce(t.backward_a, 1),
                coalesce(t.price_decimals, 2)
            ) - k.close * f.factor::numeric
        ) > 0.011 as differs
    from factors as f
    inner join {market}.kline_daily as k on f.code = k.code and f.day = k.trade_date
    left join {market}.adjustment_segments as s
        on f.code = s.code and f.day >= s.valid_from and f.day < s.valid_to
    left join {market}.adjustment_segments as t
        on f.code = t.code and f.vendor_date >= t.valid_from and f.vendor_date < t.valid_to
    where k.is_final and f.day between %s and %s
"""


def read_factors(
    settings: Settings, codes: Sequence[str]
) -> tuple[dict[str, dict[date, float]] | None, dict[str, str]]:
    """The factors by code, and why some are missing. None: the service has no such route."""

    async def ask() -> tuple[dict[str, dict[date, float]] | None, dict[str, str]]:
        factors, missing = dict[str, dict[date, float]](), dict[str, str]()
        async with TdxClient(settings.tdx) as client:
            for code in codes:
                try:
                    factors[code] = await client.adjustment_factors(code)
                except NoRoute:
                    return None, {}
                except (UpstreamError, DataQualityError) as error:
                    missing[code] = str(error)
        return factors, missing

    return asyncio.run(ask())


def compare(warehouse: Warehouse, factors: Factors | None, first: date, last: date) -> Check:
    """Compare the closes of some days with ours."""
    if factors is None:
        return Check(
            NAME, "unknown", "the service has no such endpoint: it is older than April 2026"
        )
    rows = [(code, day, factor) for code, days in factors.items() for day, factor in days.items()]
    query = COMPARED.format(market=warehouse.market_schema)
    with warehouse.connect() as conn:
        given = [[row[i] for row in rows] for i in range(3)]
        compared = conn.execute(query.encode(), (*given, first, last)).fetchall()
    differing = [code for code, differs in compared if differs]
    codes = sorted({*differing})
    figures = {"compared": len(compared), "differing": len(differing), "codes": codes}
    if not compared:
        return Check(NAME, "unknown", "nothing to compare", figures=figures)
    text = f"{len(compared) - len(differing):,} of {len(compared):,} closes agree"
    if codes:
        text += f", not for {', '.join(codes)}"
    return Check(NAME, "warn" if codes else "ok", text, figures=figures)
