"""Times as charge points write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import TimestampError
from schemas.timestamps import ParsedTime, format_micros, format_seconds, parse

US = 1_701_944_130_000_000
"""2023-12-07T10:15:30Z in Unix microseconds."""


@pytest.mark.parametrize(
    ("text", "micros", "has_zone"),
    [
        ("2023-12-07T10:15:30Z", US, True),
        ("2023-12-07t10:15:30z", US, True),
        (" 2023-12-07T10:15:30Z\n", US, True),
        ("2023-12-07T11:15:30+01:00", US, True),
        ("2023-12-07T11:15:30+0100", US, True),
        ("2023-12-07T05:45:30-04:30", US, True),
        ("20231207T101530Z", US, True),
        ("2023-12-07T10:15Z", US - 30_000_000, True),
        ("2023-12-07T10:15:30", US, False),
        ("2023-12-07 10:15:30", US, False),
        ("2023-12-07T10:15:30.5Z", US + 500_000, True),
        ("2023-12-07T10:15:30,25Z", US + 250_000, True),
        ("2023-12-07T10:15:30.123456Z", US + 123_456, True),
        # More digits than a microsecond are cut, not rounded: a moment never moves forward.
        ("2023-12-07T10:15:30.123456999Z", US + 123_456, True),
        ("1970-01-01T00:00:00Z", 0, True),
        ("1969-12-31T23:59:59.999999Z", -1, True),
        ("0001-01-01T00:00:00", -62_135_596_800_000_000, False),
    ],
)
def test_the_forms_seen_in_the_field(text: str, micros: int, *, has_zone: bool) -> None:
    assert parse(text) == ParsedTime(micros, has_zone)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "now",
        "T",
        "2023-12-07",
        "20231207",
        "2023-12-07Z",
        "2023-02-30T10:15:30Z",
        "2023-12-07T25:00:00Z",
        "2023-12-07T10:15:61Z",
        "10000-01-01T00:00:00Z",
        "1701944130",
        "2023-12-07T10:15:30.Z",
        "2023-12-07T10:15:30+99:00",
        # The offset carries these out of the calendar; they could not be written again.
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2023-12-07T10",
        "2023-W49-4T10:15:30Z",
        "2023-12-07T10:15:30Z\x00",
        "9" * 5000,
    ],
)
def test_what_is_no_date_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(TimestampError, match=r"expected e\.g\. 2023-12-07T10:15:30Z") as error:
        parse(text)
    assert len(str(error.value)) < 150


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001 - a zone is added below
    st.integers(-23 * 60, 23 * 60),
)
def test_every_moment_survives_being_written_and_read(local: datetime, offset: int) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=offset)))
    expected = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    assert parse(moment.isoformat()) == ParsedTime(expected, has_zone=True)


@given(st.text(alphabet="0123456789-:+.,TZ \x00\u0663", max_size=30))
def test_whatever_is_read_can_be_written(text: str) -> None:
    try:
        parsed = parse(text)
    except TimestampError:
        return
    assert parse(format_micros(parsed.micros)).micros == parsed.micros


@given(st.datetimes(timezones=st.just(UTC)))
def test_formats_are_rfc_3339_in_utc(moment: datetime) -> None:
    micros = parse(moment.isoformat()).micros
    assert parse(format_micros(micros)).micros == micros
    assert parse(format_seconds(micros)).micros == micros - moment.microsecond
    assert len(format_seconds(micros)) == len("2023-12-07T10:15:30Z")


def test_seconds_are_cut_as_the_contract_shows_them() -> None:
    assert format_seconds(US + 999_999) == "2023-12-07T10:15:30Z"
    assert format_micros(US + 7) == "2023-12-07T10:15:30.000007Z"


@given(st.datetimes())
def test_any_moment_is_written_as_datetime_writes_it(moment: datetime) -> None:
    micros = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )
    assert format_seconds(micros) == f"{moment.isoformat(timespec='seconds')}Z"
    assert format_micros(micros) == f"{moment.isoformat(timespec='microseconds')}Z"


@pytest.mark.parametrize("micros", [2**63 - 1, -(2**63)])
def test_a_moment_outside_the_calendar_can_not_be_written(micros: int) -> None:
    for write in (format_seconds, format_micros):
        with pytest.raises(OverflowError):
            write(micros)
