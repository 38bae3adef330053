"""The soak's judge finds what it is there to find."""

import pytest
from egress_verdict import Arrival, Fault, Verdict, judge

A, B = ("frames", "A"), ("events", "A")
LOG = {A: [f"a{n}" for n in range(10)], B: [f"b{n}" for n in range(5)]}
GOOD = [Arrival(A, f"a{n}", 10 + n) for n in range(10)] + [
    Arrival(B, f"b{n}", 20 + n) for n in range(5)
]
CUT = Fault("cut", 15.0, repeats=2)


def test_all_arrived_in_order() -> None:
    assert judge(LOG, GOOD, []) == Verdict(15, 15, 0, 0, 0, 0, 0, 0, 0, 0)
    assert judge(LOG, GOOD, []).good


def test_one_lost() -> None:
    verdict = judge(LOG, GOOD[1:], [CUT])
    assert (verdict.lost, verdict.good) == (1, False)


@pytest.mark.parametrize("accounted", ["dead_letters", "acknowledged_before_kill"])
def test_one_that_is_accounted_for_is_not_lost(accounted: str) -> None:
    verdict = judge(LOG, GOOD[1:], [CUT], **{accounted: frozenset({"a0"})})
    assert (verdict.lost, verdict.good) == (0, True)
    assert verdict.dead_lettered + verdict.dropped_by_broker == 1


def test_step_back_after_a_fault_is_allowed() -> None:
    again = [*GOOD[:8], *GOOD[6:8], *GOOD[8:]]
    repeated = [each._replace(at=16.0) for each in again[6:]]
    verdict = judge(LOG, [*again[:6], *repeated], [CUT])
    assert (verdict.repeated, verdict.good) == (2, True)


def test_repeat_without_a_fault_is_found() -> None:
    verdict = judge(LOG, [*GOOD, GOOD[-1]], [])
    assert (verdict.unexplained, verdict.good) == (1, False)
    early = judge(LOG, [GOOD[0], *GOOD], [CUT])
    assert (early.unexplained, early.good) == (1, False)


def test_more_repeats_than_the_faults_explain_are_found() -> None:
    verdict = judge(LOG, [*GOOD, *GOOD[-3:]], [CUT])
    assert (verdict.repeated, verdict.allowed, verdict.good) == (3, 2, False)


def test_what_the_broker_itself_sends_again_is_not_counted() -> None:
    assert judge(LOG, [*GOOD, GOOD[0]._replace(redelivered=True)], []).good


def test_swapped_ones_are_found() -> None:
    verdict = judge(LOG, [GOOD[1], GOOD[0], *GOOD[2:]], [CUT])
    assert (verdict.out_of_order, verdict.good) == (1, False)


def test_strands_have_no_order_between_them() -> None:
    assert judge(LOG, [*GOOD[10:], *GOOD[:10]], []).good


def test_what_is_not_on_the_log_is_found() -> None:
    verdict = judge(LOG, [*GOOD, Arrival(A, "b0", 30)], [CUT])
    assert (verdict.invented, verdict.good) == (1, False)
