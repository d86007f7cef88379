"""The desktop client's lists and events that the sandbox writes, as pytdx reads them."""

import itertools
from fractions import Fraction
from pathlib import Path

from loaders.sandbox.tdx.client_files import write_client_files
from loaders.sandbox.world.actions import Action, events
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


def test_capital_grows_from_record_to_record_by_the_events(tmp_path: Path) -> None:
    from pytdx.reader.gbbq_reader import GbbqReader

    market = SyntheticMarket(codes=30, days=120)
    write_client_files(market, tmp_path)
    frame = GbbqReader().get_df(str(tmp_path / "gbbq"))
    capital = frame[(frame.category == 5) & (frame.code == "000003") & (frame.market == 0)]
    counts = [tuple(row[5:]) for row in capital.itertuples()]

    assert counts[0][:2] == (0, 0)
    assert all(before[2:] == after[:2] for before, after in itertools.pairwise(counts))
    grown = [event.m for event in events(market.actions("sz000003")) if event.m != 1]
    assert len(counts) == 1 + len(grown)
    for factor, record in zip(grown, counts[1:], strict=True):
        assert abs(Fraction(record[3]) - factor * Fraction(record[1])) <= 1


def test_lists_hold_every_instrument_of_their_exchange_with_its_name(tmp_path: Path) -> None:
    market = SyntheticMarket(codes=30, days=60)
    write_client_files(market, tmp_path)
    for exchange in ("sh", "sz", "bj"):
        body = (tmp_path / f"{exchange}m.tnf").read_bytes()[50:]
        records = [body[at : at + 314] for at in range(0, len(body), 314)]
        names = {r[:6].decode(): r[23:].split(b"\0")[0].decode("gbk") for r in records}
        listed = [s for s in market.securities if s.exchange == exchange]
        assert names == {s.digits: s.name for s in listed}
