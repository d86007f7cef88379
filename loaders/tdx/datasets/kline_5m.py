"""Dataset `kline_5m`: bars of 5 minutes that the service builds itself, evidence beside ours."""

from loaders.tdx.bars import service_bars

DATASET = service_bars.of_period("kline_5m", "minute5")
