"""Dataset `kline_15m`: bars of 15 minutes that the service builds itself, evidence beside ours."""

from loaders.tdx.bars import service_bars

DATASET = service_bars.of_period("kline_15m", "minute15")
