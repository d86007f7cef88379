"""One exit code for several outcomes: the most_severe, and never 0 while one of them failed."""

import pytest

from quotemill import errors
from quotemill.errors import QuotemillError, most_severe

CODES = [kind.exit_code for kind in (QuotemillError, *QuotemillError.__subclasses__())]


def test_success_needs_all_to_succeed() -> None:
    assert most_severe([]) == 0
    assert most_severe([0, 0]) == 0


@pytest.mark.parametrize("code", [*CODES, 130])
def test_no_failure_is_lost_beside_a_success(code: int) -> None:
    assert most_severe([0, code, 0]) == code


def test_a_fault_of_ours_and_absent_data_come_before_wrong_data() -> None:
    wrong = errors.DataQualityError.exit_code
    for worse in (*CODES[:4], errors.PartialError.exit_code):
        assert most_severe([wrong, worse]) == worse
    assert most_severe(CODES) == QuotemillError.exit_code


@pytest.mark.parametrize("code", [code for code in CODES if code != 75])
def test_a_held_lock_hides_no_failure(code: int) -> None:
    assert most_severe([errors.LockHeldError.exit_code, code]) == code


@pytest.mark.parametrize("code", [130, 137])
def test_a_held_lock_hides_no_killed_process(code: int) -> None:
    assert most_severe([75, code]) == code
