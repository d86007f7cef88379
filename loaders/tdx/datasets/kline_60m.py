"""Dataset `kline_60m`: 60-minute bars built by the service, to check ours."""

from loaders.tdx.fetching import service_bars

DATASET = service_bars.make_dataset("kline_60m", "hour")
