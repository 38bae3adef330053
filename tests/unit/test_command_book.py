from ingress.commands.book import MAX_LIFETIME_S, MICROS, REMEMBERED_S, CommandBook
from schemas.commands import Command, CommandResult, Outcome

NOW = 1_701_944_130_000_000


def command(number: int, client_id: str = "CP1", lives_s: int = 60) -> Command:
    return Command(
        command_id=f"c{number}",
        client_id=client_id,
        action="Reset",
        payload='{"type":"Soft"}',
        issued_at=NOW,
        expires_at=NOW + lives_s * MICROS,
    )


def result(number: int, outcome: Outcome, instance: str = "one") -> CommandResult:
    return CommandResult(
        command_id=f"c{number}", client_id="CP1", outcome=outcome, instance=instance, at=NOW
    )


def test_commands_are_sent_in_the_order_of_the_log() -> None:
    book = CommandBook()
    for one in (command(1), command(2), command(3, "CP2")):
        book.take_command(one)
    assert book.next_for("CP1", NOW) == command(1)
    assert book.next_for("CP2", NOW) == command(3, "CP2")
    assert book.next_for("CP3", NOW) is None
    book.take_result(result(1, "sent"))
    assert book.next_for("CP1", NOW) == command(2)


def test_the_first_record_decides_who_sends_a_command() -> None:
    book = CommandBook()
    book.take_command(command(1))
    assert book.is_taken_by("c1") is None
    book.take_result(result(1, "sent", "one"))
    book.take_result(result(1, "sent", "two"))
    assert book.is_taken_by("c1") == "one"


def test_a_second_command_with_the_same_id_changes_nothing() -> None:
    book = CommandBook()
    book.take_command(command(1))
    book.take_command(command(1, lives_s=6000))
    assert book.next_for("CP1", NOW + 61 * MICROS) is None
    book.take_result(result(1, "sent"))
    book.take_result(result(1, "result"))
    book.take_command(command(1))
    assert book.next_for("CP1", NOW) is None


def test_a_result_that_is_read_before_its_command_keeps_it_from_being_sent() -> None:
    book = CommandBook()
    book.take_result(result(1, "sent"))
    book.take_command(command(1))
    assert book.next_for("CP1", NOW) is None
    assert list(book.expired(NOW + 100 * MICROS)) == []


def test_a_command_that_nobody_took_in_time_expires() -> None:
    book = CommandBook()
    book.take_command(command(1))
    book.take_command(command(2, lives_s=600))
    late = NOW + 60 * MICROS
    assert book.next_for("CP1", late) == command(2, lives_s=600)
    assert list(book.expired(late)) == [command(1)]
    book.take_result(result(1, "expired"))
    assert list(book.expired(late)) == []


def test_a_command_lives_for_a_day_at_most() -> None:
    book = CommandBook()
    book.take_command(command(1, lives_s=2 * MAX_LIFETIME_S))
    assert book.next_for("CP1", NOW + MAX_LIFETIME_S * MICROS - 1) is not None
    assert book.next_for("CP1", NOW + MAX_LIFETIME_S * MICROS) is None


def test_a_command_that_was_sent_is_unanswered_until_its_result_comes() -> None:
    book = CommandBook()
    book.take_command(command(1))
    book.take_result(result(1, "sent"))
    assert list(book.unanswered(NOW - 1)) == []
    assert list(book.unanswered(NOW)) == [result(1, "sent")]
    book.take_result(result(1, "timeout"))
    assert list(book.unanswered(NOW)) == []


def test_old_ids_are_forgotten_and_memory_with_them() -> None:
    book = CommandBook()
    for number in range(100):
        book.take_command(command(number))
        if number % 2:
            book.take_result(result(number, "sent"))
            book.take_result(result(number, "result"))
    book.forget(NOW + REMEMBERED_S * MICROS)
    assert len(book) == 100
    book.forget(NOW + REMEMBERED_S * MICROS + 1)
    assert len(book) == 0
    assert list(book.expired(NOW + 10 * REMEMBERED_S * MICROS)) == []
