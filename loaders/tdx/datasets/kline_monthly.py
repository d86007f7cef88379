"""Dataset `kline_monthly`: months that the service builds itself, evidence beside ours."""

from loaders.tdx.bars import service_bars

DATASET = service_bars.of_period("kline_monthly", "month")
