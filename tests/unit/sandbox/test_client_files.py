"""The desktop client's lists and events that the sandbox writes, as pytdx reads them."""

from pathlib import Path

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.sandbox.world.actions import Action
from loaders.sandbox.world.market import SyntheticMarket


def test_pytdx_reads_the_events_of_the_market_back(tmp_path: Path) -> None:
    from pytdx.reader.gbbq_reader import GbbqReader

    market = SyntheticMarket(codes=30, days=120)
    write_client_files(market, tmp_path)
    frame = GbbqReader().get_df(str(tmp_path / "gbbq"))

    exchanges = ("sz", "sh", "bj")
    read = {
        (exchanges[row.market] + row.code, str(row.datetime), tuple(round(v, 4) for v in row[5:]))
        for row in frame.itertuples()
        if row.category in (1, 11)
    }

    def amounts(action: Action) -> tuple[float, ...]:
        if action.split_ratio:
            return 0, 0, float(action.split_ratio), 0
        new = action.bonus + action.transfer
        return float(action.cash), float(action.rights_price), float(new), float(action.rights)

    expected = {
        (action.code, f"{action.ex_date:%Y%m%d}", amounts(action))
        for action in market.all_actions()
        if action.category in (1, 11)
    }
    assert read == expected
    assert len(expected) > 30
