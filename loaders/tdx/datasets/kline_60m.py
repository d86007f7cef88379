"""Dataset `kline_60m`: bars of 60 minutes that the service builds itself, evidence beside ours."""

from loaders.tdx.bars import service_bars

DATASET = service_bars.of_period("kline_60m", "hour")
