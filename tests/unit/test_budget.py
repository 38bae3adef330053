from hypothesis import given
from hypothesis import strategies as st

from ingress.websocket.budget import Budget


def test_nobody_is_ended_while_all_together_hold_less() -> None:
    budget: Budget[str] = Budget(100)
    assert budget.weigh("a", 60, 60, 0.0) == []
    assert budget.weigh("b", 40, 40, 0.0) == []
    assert budget.held == 100


def test_the_largest_of_those_that_came_together_is_ended() -> None:
    budget: Budget[str] = Budget(100)
    budget.weigh("large", 70, 70, 0.0)
    budget.weigh("small", 20, 20, 0.0)
    assert budget.weigh("newcomer", 20, 20, 0.0) == ["large"]


def test_who_holds_for_long_is_ended_before_a_larger_newcomer() -> None:
    budget: Budget[str] = Budget(100)
    budget.weigh("hoarder", 50, 50, 0.0)
    assert budget.weigh("newcomer", 60, 60, 30.0) == ["hoarder"]


def test_what_began_anew_is_young_again() -> None:
    budget: Budget[str] = Budget(100)
    budget.weigh("busy", 50, 50, 0.0)
    budget.weigh("busy", 0, 0, 29.0)
    budget.weigh("hoarder", 40, 40, 20.0)
    budget.weigh("busy", 50, 50, 29.0)
    assert budget.weigh("newcomer", 20, 20, 30.0) == ["hoarder"]


def test_what_is_at_work_is_no_reason_to_be_ended() -> None:
    budget: Budget[str] = Budget(100)
    budget.weigh("at work", 90, 0, 0.0)
    assert budget.weigh("newcomer", 20, 20, 30.0) == ["newcomer"]


_WEIGHING = st.tuples(
    st.sampled_from("abcdef"), st.integers(0, 300), st.integers(0, 300), st.floats(0, 5)
)


@given(st.lists(_WEIGHING, max_size=60))
def test_after_the_chosen_ended_no_more_is_held_than_the_limit_or_is_at_work(
    weighings: list[tuple[str, int, int, float]],
) -> None:
    budget: Budget[str] = Budget(500)
    held: dict[str, tuple[int, int]] = {}
    now_s = 0.0

    def weigh(holder: str) -> None:
        freeable, at_work = held[holder]
        for ended in budget.weigh(holder, freeable + at_work, freeable, now_s):
            if held[ended][0]:
                held[ended] = (0, held[ended][1])
                weigh(ended)

    for holder, freeable, at_work, pause_s in weighings:
        now_s += pause_s
        held[holder] = (freeable, at_work)
        weigh(holder)
        assert budget.held == sum(map(sum, held.values()))
        assert budget.held <= max(500, sum(at_work for _, at_work in held.values()))
