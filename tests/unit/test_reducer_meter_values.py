"""MeterValues → meter_reading: names, units, what is attributed to which session."""

import itertools
from typing import Any

import pytest
from frames16 import POWER, REGISTER, Story, element, kinds, sample

from processor.reducer import IndigestibleFrameError


def _measurands(*samples: dict[str, Any]) -> Any:  # noqa: ANN401  # JSON
    return Story().values(*samples)["payload"]["measurands"]


def test_one_event_for_each_element() -> None:
    story = Story()
    events = story.meter(element(sample("1")), element(sample("2")), element())
    assert kinds(events) == ["meter_reading"] * 3
    assert [event["payload"]["totalEnergy"] for event in events] == [0.001, 0.002, None]
    assert story.meter() == []


def test_everything_left_out_has_ocpps_default() -> None:
    assert _measurands(sample("12500")) == {
        REGISTER: {"value": 12.5, "unit": "kWh", "context": "Sample.Periodic"}
    }


@pytest.mark.parametrize(
    ("measurand", "unit", "value"),
    [
        ("Current.Import", "A", 1500.0),
        ("Current.Offered", "A", 1500.0),
        ("Energy.Active.Import.Interval", "kWh", 1.5),
        ("Energy.Reactive.Export.Register", "kvarh", 1.5),
        ("Frequency", "Hertz", 1500.0),
        ("Power.Active.Import", "kW", 1.5),
        ("Power.Factor", None, 1500.0),
        ("Power.Offered", "kW", 1.5),
        ("Power.Reactive.Import", "kvar", 1.5),
        ("RPM", None, 1500.0),
        ("SoC", "Percent", 1500.0),
        ("Temperature", "Celsius", 1500.0),
        ("Voltage", "V", 1500.0),
        ("X-Vendor.Thing", None, 1500.0),
    ],
)
def test_a_missing_unit_is_the_measurands_own(
    measurand: str, unit: str | None, value: float
) -> None:
    assert _measurands(sample("1500", measurand))[measurand] == {
        "value": value,
        "unit": unit,
        "context": "Sample.Periodic",
    }


@pytest.mark.parametrize(
    ("wire", "unit", "value"),
    [
        ("Wh", "kWh", 1.5),
        ("kWh", "kWh", 1500.0),
        ("varh", "kvarh", 1.5),
        ("kvarh", "kvarh", 1500.0),
        ("W", "kW", 1.5),
        ("kW", "kW", 1500.0),
        ("VA", "kVA", 1.5),
        ("kVA", "kVA", 1500.0),
        ("var", "kvar", 1.5),
        ("kvar", "kvar", 1500.0),
        ("Celcius", "Celsius", 1500.0),
        ("Fahrenheit", "Fahrenheit", 1500.0),
        ("K", "K", 1500.0),
        ("furlongs", "furlongs", 1500.0),
    ],
)
def test_units_become_business_units(wire: str, unit: str, value: float) -> None:
    measured = _measurands(sample("1500", "Vendor", unit=wire))["Vendor"]
    assert (measured["value"], measured["unit"]) == (value, unit)


@pytest.mark.parametrize(
    ("text", "kilo"),
    [
        ("12345.678", 12.345678),
        ("0", 0.0),
        ("-7", -0.007),
        ("+7.", 0.007),
        (".5", 0.0005),
        (" 0.0", 0.0),
        ("1.2E3", 1.2),
        ("108009.6", 108.0096),
        ("1", 0.001),
        ("00012", 0.012),
    ],
)
def test_the_decimal_point_moves_exactly(text: str, kilo: float) -> None:
    event = Story().values(sample(text, unit="Wh"))
    assert event["payload"]["totalEnergy"] == kilo
    assert "anomalies" not in event


@pytest.mark.parametrize(
    "text", ["", "NaN", "inf", "12,5", "1_000", "abc", "٣", "1e999", "0x10", "9" * 400, "--1"]
)
def test_a_value_that_is_no_finite_number_is_null(text: str) -> None:
    event = Story().values(sample(text, unit="Wh"))
    assert event["payload"]["measurands"][REGISTER]["value"] is None
    assert event["payload"]["totalEnergy"] is None
    assert event["anomalies"] == ["value_not_a_number"]


@pytest.mark.parametrize(("value", "kilo"), [(12500, 12.5), (12500.5, 12.5005), (1e-7, 1e-10)])
def test_a_value_written_as_a_number_is_read(value: float, kilo: float) -> None:
    event = Story().values(sample(value, unit="Wh"))
    assert event["payload"]["totalEnergy"] == kilo
    assert event["anomalies"] == ["schema_violation"]


@pytest.mark.parametrize("value", [None, True, [], {}])
def test_a_value_of_another_json_type_is_null(value: object) -> None:
    event = Story().values(sample(value))
    assert event["payload"]["totalEnergy"] is None
    assert event["anomalies"] == ["schema_violation", "value_not_a_number"]


def test_phases_stand_beside_the_unphased_value() -> None:
    measurands = _measurands(
        sample("230", "Voltage", phase="L1-N"), sample("400", "Voltage", phase="L1-L2"),
        sample("231", "Voltage"),
    )  # fmt: skip
    assert {name: measured["value"] for name, measured in measurands.items()} == {
        "Voltage.L1-N": 230.0,
        "Voltage.L1-L2": 400.0,
        "Voltage": 231.0,
    }


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_places_that_collide_are_told_apart_in_any_order(order: tuple[int, ...]) -> None:
    samples = [
        sample("30", "Temperature", location="Cable"),
        sample("40", "Temperature", location="Inlet"),
        sample("20", "Temperature"),
    ]
    event = Story().values(*(samples[place] for place in order))
    values = {name: m["value"] for name, m in event["payload"]["measurands"].items()}
    assert values == {
        "Temperature": 20.0,
        "Temperature.Cable": 30.0,
        "Temperature.Inlet": 40.0,
    }
    assert "anomalies" not in event


def test_a_place_that_collides_with_nothing_keeps_the_plain_name() -> None:
    assert list(_measurands(sample("55", "SoC", location="EV"))) == ["SoC"]
    # Without the outlet's value no other place takes its name.
    two = _measurands(
        sample("30", "Temperature", location="Cable"), sample("40", "Temperature", location="Body")
    )
    assert list(two) == ["Temperature.Cable", "Temperature.Body"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_contexts_that_collide_are_told_apart_in_any_order(order: tuple[int, ...]) -> None:
    samples = [
        sample("1000", context="Transaction.Begin"),
        sample("3000", context="Transaction.End"),
        sample("2000", context="Trigger"),
        sample("5", context="X-Vendor"),
    ]
    event = Story().values(*(samples[place] for place in order))
    values = {name: m["value"] for name, m in event["payload"]["measurands"].items()}
    assert values == {
        REGISTER: 3.0,
        f"{REGISTER}.Transaction.Begin": 1.0,
        f"{REGISTER}.Trigger": 2.0,
        f"{REGISTER}.X-Vendor": 0.005,
    }
    assert event["payload"]["totalEnergy"] == 3.0


def test_of_the_same_measurand_twice_the_first_stays() -> None:
    event = Story().values(sample("1000"), sample("2000"))
    assert event["payload"]["totalEnergy"] == 1.0
    assert event["anomalies"] == ["duplicate_measurand"]
    # The same value in another unit is no contradiction.
    assert "anomalies" not in Story().values(sample("1000"), sample("1", unit="kWh"))


def test_of_the_same_measurand_twice_the_readable_one_stays() -> None:
    event = Story().values(sample("?"), sample("2000"))
    assert event["payload"]["totalEnergy"] == 2.0
    assert event["anomalies"] == ["duplicate_measurand"]


@pytest.mark.parametrize("first", [True, False])
def test_signed_data_never_replaces_a_plain_value(first: bool) -> None:  # noqa: FBT001  # pytest
    signed, plain = sample("MIIB", format="SignedData"), sample("2000", context="Trigger")
    event = Story().values(*((signed, plain) if first else (plain, signed)))
    assert event["payload"]["measurands"] == {
        REGISTER: {"value": 2.0, "unit": "kWh", "context": "Trigger"}
    }
    assert "anomalies" not in event


def test_signed_data_alone_has_no_value() -> None:
    event = Story().values(sample("MIIB", format="SignedData"))
    assert event["payload"]["measurands"][REGISTER]["value"] is None
    assert event["anomalies"] == ["signed_data"]


@pytest.mark.parametrize(
    ("samples", "power"),
    [
        ([("7200", None), ("1", "L1")], 7.2),
        ([("2100", "L1"), ("2200", "L2"), ("2300", "L3")], 6.6),
        ([("2100", "L1-N"), ("2200", "L2-N")], 4.3),
        ([("2100", "L1")], 2.1),
        ([("2100", "L1"), ("?", "L2")], None),
        ([("400", "L1-L2")], None),
        ([], None),
    ],
)
def test_current_power_is_the_total_or_the_sum_of_the_phases(
    samples: list[tuple[str, str | None]], power: float | None
) -> None:
    written = [
        sample(value, POWER, **({} if phase is None else {"phase": phase}))
        for value, phase in samples
    ]
    assert Story().values(*written)["payload"]["currentPower"] == power


def test_total_energy_is_the_unphased_register_only() -> None:
    event = Story().values(sample("5", REGISTER, phase="L1"))
    assert event["payload"]["totalEnergy"] is None


@pytest.mark.parametrize(("measurand", "unit"), [(REGISTER, "A"), (POWER, "Wh")])
def test_a_unit_of_another_quantity_gives_no_total(measurand: str, unit: str) -> None:
    event = Story().values(sample("5", measurand, unit=unit))
    assert event["payload"]["totalEnergy"] is event["payload"]["currentPower"] is None
    assert event["anomalies"] == ["unit_unexpected"]


def test_without_an_id_the_values_belong_to_the_open_session() -> None:
    story = Story()
    assert story.values(sample("1"))["payload"]["transactionId"] is None
    story.start(7)
    assert story.values(sample("1"))["payload"]["transactionId"] == 7
    assert story.values(sample("1"), connector=2)["payload"]["transactionId"] is None


def test_values_before_the_starts_answer_belong_to_no_session() -> None:
    story = Story()
    payload = {"connectorId": 1, "idTag": "A", "meterStart": 7, "timestamp": "2023-12-07T10:00:00Z"}
    story.call("StartTransaction", payload)
    event = story.values(sample("1"))
    assert event["payload"]["transactionId"] is None
    assert "anomalies" not in event


def test_values_after_the_stop_keep_the_id_they_name() -> None:
    story = Story()
    story.start(7)
    story.stop(7)
    late = element(sample("25000", context="Transaction.End"), timestamp="2023-12-07T11:45:30Z")
    [event] = story.meter(late, transactionId=7)
    assert event["payload"]["transactionId"] == 7
    assert "anomalies" not in event


def test_another_sessions_id_is_kept_and_noted() -> None:
    story = Story()
    story.start(7)
    story.values(sample("5000"))
    event = story.values(sample("4000"), transactionId=8)
    assert event["payload"]["transactionId"] == 8
    assert event["anomalies"] == ["transaction_mismatch"]
    # Nor do the values count as the open session's register.
    assert "anomalies" not in story.values(sample("5001"))


def test_an_unreadable_id_belongs_to_no_session() -> None:
    story = Story()
    story.start(7)
    event = story.values(sample("5000"), transactionId="abc")
    assert event["payload"]["transactionId"] is None
    assert event["anomalies"] == ["schema_violation", "transaction_mismatch"]


@pytest.mark.parametrize("number", [0, -1])
def test_no_real_id_means_the_open_session(number: int) -> None:
    story = Story()
    event = story.values(sample("1"), transactionId=number)
    assert event["payload"]["transactionId"] is None
    assert event["anomalies"] == ["invalid_transaction_id"]
    story.start(7)
    assert story.values(sample("1"), transactionId=number)["payload"]["transactionId"] == 7


def test_a_register_below_the_sessions_last_one_is_noted() -> None:
    story = Story()
    story.start(7)
    assert "anomalies" not in story.values(sample("5000"))
    assert story.values(sample("4999"))["anomalies"] == ["register_backwards"]
    assert "anomalies" not in story.values(sample("5001"))
    # Without a session, or in the next one, a lower register is nothing special.
    story.stop(7)
    assert "anomalies" not in story.values(sample("1"))
    story.start(8, timestamp="2023-12-08T10:00:00Z")
    assert "anomalies" not in story.values(sample("0"))


def test_values_out_of_order_do_not_replace_the_last_ones() -> None:
    story = Story()
    story.start(7)
    story.meter(element(sample("5000"), timestamp="2023-12-07T11:00:00Z"))
    [late] = story.meter(element(sample("4000"), timestamp="2023-12-07T10:59:59Z"))
    assert late["anomalies"] == ["out_of_order"]
    assert late["payload"]["totalEnergy"] == 4.0
    abandoned, _ = story.start(8, meterStart=6000, timestamp="2023-12-07T12:00:00Z")
    assert abandoned["payload"]["meterStop"] == 5000


def test_a_clock_that_was_ahead_troubles_only_its_session() -> None:
    story = Story()
    story.meter(element(sample("1"), timestamp="2030-01-01T00:00:00Z"))
    assert story.values(sample("2"))["anomalies"] == ["out_of_order"]
    story.start(7)
    assert "anomalies" not in story.values(sample("3"))


def test_values_without_a_time_count_in_order_of_arrival() -> None:
    story = Story()
    story.start(7)
    story.values(sample("2000"))
    [event] = story.meter(element(sample("3000"), timestamp="1970-01-01T00:00:05Z"))
    assert event["payload"]["timestamp"] is None
    assert event["anomalies"] == ["clock_not_set"]
    abandoned, _ = story.start(8, meterStart=6000, timestamp="2023-12-07T12:00:00Z")
    assert abandoned["payload"]["meterStop"] == 3000


def test_connector_0_has_readings_of_its_own() -> None:
    story = Story()
    story.start(7)
    event = story.values(sample("5"), connector=0, transactionId=7)
    assert event["payload"]["connectorId"] == 0
    assert event["payload"]["transactionId"] == 7
    assert "anomalies" not in event


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"meterValue": []}, "connectorId is missing"),
        ({"connectorId": 1}, "meterValue is None"),
        ({"connectorId": 1, "meterValue": {}}, "meterValue is {}"),
        ({"connectorId": 1, "meterValue": [5]}, "element is 5"),
        ({"connectorId": 1, "meterValue": [{}]}, "element is {}"),
        ({"connectorId": 1, "meterValue": [{"sampledValue": ["x"]}]}, "sampledValue is 'x'"),
        (
            {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "1", "phase": 1}]}]},
            "phase of a sampledValue is 1",
        ),
    ],
)
def test_values_that_can_not_be_read_are_indigestible(payload: object, reason: str) -> None:
    with pytest.raises(IndigestibleFrameError, match=reason):
        Story().call("MeterValues", payload)
