"""Codes of contracts: the servers' and ours."""

from datetime import date

import pytest

from loaders.tq.client.program.codes import own_code, server_code


@pytest.mark.parametrize(
    ("code", "day", "own"),
    [
        ("CZCE.SR601", "2015-02-02", "CZCE.SR1601"),
        ("CZCE.SR601", "2016-01-15", "CZCE.SR1601"),
        ("CZCE.SR601", "2025-01-16", "CZCE.SR2601"),
        ("CZCE.SR601", "2026-01-15", "CZCE.SR2601"),
        ("CZCE.SR009", "2019-09-20", "CZCE.SR2009"),
        ("CZCE.SR009", "2029-09-20", "CZCE.SR3009"),
        ("CZCE.SR011", "2019-12-02", "CZCE.SR2011"),
        ("CZCE.SR011", "2029-12-02", "CZCE.SR3011"),
        ("CZCE.SR901", "2018-12-28", "CZCE.SR1901"),
        ("CZCE.PTA_F601", "2025-12-29", "CZCE.PTA_F2601"),
        ("SHFE.cu1601", "2015-12-28", "SHFE.cu1601"),
        ("DCE.l_f2602", "2025-12-29", "DCE.l_f2602"),
    ],
)
def test_a_code_of_zhengzhou_gets_its_whole_year(code: str, day: str, own: str) -> None:
    assert own_code(code, date.fromisoformat(day)) == own
    assert own_code(own, date.fromisoformat(day)) == own
    assert server_code(own) == code
