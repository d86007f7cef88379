"""Dataset `kline_weekly`: weekly bars built by the service, to check ours."""

from loaders.tdx.fetching import service_bars

DATASET = service_bars.make_dataset("kline_weekly", "week")
