"""Codes of contracts: the servers' and ours."""

from datetime import date

import pytest

from loaders.tq.client.program.codes import own_code, server_code


@pytest.mark.parametrize(
    ("code", "day", "own"),
    [
        ("CZCE.SR601", "2015-02-02", "CZCE.SR1601"),
        ("CZCE.SR601", "2016-01-15", "CZCE.SR1601"),
        ("CZCE.SR601", "2025-01-16", "CZCE.SR601"),
        ("CZCE.SR601", "2026-01-15", "CZCE.SR601"),
        ("CZCE.SR009", "2019-09-20", "CZCE.SR2009"),
        ("CZCE.SR011", "2019-12-02", "CZCE.SR011"),  # the servers list it
        ("CZCE.SR101", "2020-08-03", "CZCE.SR101"),
        ("CZCE.SR901", "2018-12-28", "CZCE.SR1901"),
        ("SHFE.cu1601", "2015-12-28", "SHFE.cu1601"),
        ("DCE.l_f2602", "2025-12-29", "DCE.l_f2602"),
    ],
)
def test_a_code_of_zhengzhou_has_its_whole_year_where_the_servers_do_not_list_it(
    code: str, day: str, own: str
) -> None:
    assert own_code(code, date.fromisoformat(day)) == own
    assert server_code(own) == code
