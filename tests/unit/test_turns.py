import asyncio

import pytest

from ingress.turns import Turns


async def test_turn_goes_to_those_who_wait_in_order_and_then_to_nobody() -> None:
    seen: list[str] = []
    turns = Turns(lambda: seen.append("free"))
    assert turns.take()
    assert not turns.take()

    async def one(name: str) -> None:
        async with turns:
            seen.append(name)
            await asyncio.sleep(0)

    waiting = [asyncio.create_task(one(name)) for name in "abc"]
    await asyncio.sleep(0)
    assert seen == []
    turns.give_back()
    assert not turns.take(), "a's turn has begun, even though a has not run yet"
    await asyncio.gather(*waiting)
    assert seen == ["a", "b", "c", "free"]
    assert turns.take()


@pytest.mark.parametrize("given", [False, True])
async def test_who_is_cancelled_while_waiting_or_just_called_up_keeps_nobody_waiting(
    *, given: bool
) -> None:
    freed: list[None] = []
    turns = Turns(lambda: freed.append(None))
    turns.take()

    async def one() -> None:
        async with turns:
            pytest.fail("cancelled, so it never comes to its turn")

    cancelled = asyncio.create_task(one())
    await asyncio.sleep(0)
    if given:
        turns.give_back()
    cancelled.cancel()
    await asyncio.wait({cancelled})
    assert cancelled.cancelled()
    if not given:
        turns.give_back()
    assert freed == [None]
    assert turns.take()
