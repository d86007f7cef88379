"""A market of real bars and events: copies equal their original but for the turnover."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from loaders.tdx.files import gbbq, tnf
from tests.client_folder import RECORD
from tests.real_market import write_real_market


def test_copies_have_the_bars_events_and_names_of_their_originals(
    real_client: Path, tmp_path: Path
) -> None:
    codes = write_real_market(tmp_path, 400, real_client)

    def bars(code: str, folder: Path = tmp_path) -> npt.NDArray[np.void]:
        return np.fromfile(folder / "vipdoc" / code[:2] / "lday" / f"{code}.day", RECORD)

    assert len(set(codes)) == 400
    originals = [code for code in codes[:130] if (bars(code) == bars(code, real_client)).all()]
    assert originals == codes[:130]
    lists = "T0002/hq_cache/szm.tnf"
    written, real = (
        gbbq.read_events(folder / gbbq.PLACE).rows.to_pylist() for folder in (tmp_path, real_client)
    )
    names, real_names = (tnf.read_names(folder / lists, "sz") for folder in (tmp_path, real_client))
    events: dict[str, list[object]] = {code: [] for code in codes}
    for row in written:
        if row["code"] in events:
            events[row["code"]].append(list(row.values())[1:])
    for at, code in enumerate(codes):
        original = codes[at % 130]
        assert code[:4] == original[:4]
        copied, traded = bars(code), bars(original)
        assert all((copied[x] == traded[x]).all() for x in RECORD.names or () if x != "amount")
        grown = traded["amount"] * (1 + at // 130 * 1e-5)
        assert np.allclose(copied["amount"], grown, rtol=1e-6)
        assert events[code] == events[original]
        assert names.get(code) == names.get(original)
    assert [row for row in written if row["code"] in codes[:130]] == [
        row for row in real if row["code"] in codes[:130]
    ]
    assert all(real_names[code] == names[code] for code in codes[:130] if code in names)
    assert sum(map(len, events.values())) > 10_000
