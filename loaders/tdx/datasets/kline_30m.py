"""Dataset `kline_30m`: bars of 30 minutes that the service builds itself, evidence beside ours."""

from loaders.tdx.bars import service_bars

DATASET = service_bars.of_period("kline_30m", "minute30")
