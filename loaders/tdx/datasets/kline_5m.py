"""Dataset `kline_5m`: 5-minute bars built by the service, to check ours."""

from loaders.tdx.fetching import service_bars

DATASET = service_bars.make_dataset("kline_5m", "minute5")
