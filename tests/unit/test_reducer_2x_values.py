"""Sampled values of OCPP 2.0.1 and 2.1, in TransactionEvent and MeterValues."""

from typing import Any

import pytest
from frames2x import READING, TX, Story2x, sample
from frames16 import POWER, REGISTER, element

from processor.reducer import IndigestibleFrameError


def values(*samples: Any, evse: object = 1, story: Story2x | None = None) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The one meter_reading of a MeterValues."""
    story = story or Story2x()
    payload = {"evseId": evse, "meterValue": [element(*samples, timestamp=READING)]}
    [event] = story.call("MeterValues", payload)
    return event


def measured(*samples: dict[str, Any]) -> dict[str, Any]:
    """The measurands of a clean reading."""
    event = values(*samples)
    assert "anomalies" not in event
    result: dict[str, Any] = event["payload"]["measurands"]
    return result


def test_a_2x_value_with_everything_left_out_is_the_register_in_wh() -> None:
    event = values({"value": 12345.678})
    assert event["payload"]["measurands"] == {
        REGISTER: {"value": 12.345678, "unit": "kWh", "context": "Sample.Periodic"}
    }
    assert event["payload"]["totalEnergy"] == 12.345678


@pytest.mark.parametrize(
    ("measurand", "unit"),
    [
        ("Current.Import", "A"),
        ("Current.Import.Offered", "A"),
        ("Energy.Active.Net", "kWh"),
        ("Energy.Reactive.Net", "kvarh"),
        ("Energy.Apparent.Import", "kVAh"),
        ("EnergyRequest.Target", "kWh"),
        ("Power.Offered", "kW"),
        ("Power.Reactive.Import", "kvar"),
        ("Power.Factor", None),
        ("Voltage.Maximum", "V"),
        ("Frequency", "Hz"),
        ("SoC", "Percent"),
        ("Display.PresentSOC", None),
        ("Humidity", None),
    ],
)
def test_a_missing_2x_unit_is_the_measurands_own(measurand: str, unit: str | None) -> None:
    assert measured(sample(1000, measurand))[measurand]["unit"] == unit


@pytest.mark.parametrize(
    ("value", "unit", "multiplier", "result"),
    [
        (12345, "Wh", None, (12.345, "kWh")),
        (12345, "Wh", 0, (12.345, "kWh")),
        (12.3, "Wh", 3, (12.3, "kWh")),
        (12345.6, "Wh", -1, (1.23456, "kWh")),
        (12.345, "kWh", None, (12.345, "kWh")),
        (12.345, "kWh", 3, (12345.0, "kWh")),
        (0.1, None, 3, (0.1, "kWh")),
        (1e-7, "Wh", 6, (0.0001, "kWh")),
        (2e16, "Wh", None, (2e13, "kWh")),
        (-5, "Wh", None, (-0.005, "kWh")),
        (3, "Furlong", 2, (300.0, "Furlong")),
    ],
)
def test_units_and_their_power_of_ten_move_the_point_exactly(
    value: float, unit: str | None, multiplier: int | None, result: tuple[float, str]
) -> None:
    event = values(sample(value, REGISTER, unit=unit, multiplier=multiplier))
    measurement = event["payload"]["measurands"][REGISTER]
    assert (measurement["value"], measurement["unit"]) == result


@pytest.mark.parametrize("multiplier", [31, -31, 1.5, "3", True])
def test_a_power_of_ten_that_can_not_be_one_leaves_no_value(multiplier: object) -> None:
    event = values(sample(1, REGISTER, unit="Wh", multiplier=multiplier))
    assert event["payload"]["measurands"][REGISTER]["value"] is None
    assert event["anomalies"] == ["schema_violation", "value_not_a_number"]


@pytest.mark.parametrize(
    ("value", "result", "anomalies"),
    [
        ("230.5", 230.5, ["schema_violation"]),
        (" 2305e-1 ", 230.5, ["schema_violation"]),
        ("n/a", None, ["schema_violation", "value_not_a_number"]),
        (None, None, ["schema_violation", "value_not_a_number"]),
        (True, None, ["schema_violation", "value_not_a_number"]),
        ({}, None, ["schema_violation", "value_not_a_number"]),
    ],
)
def test_a_2x_value_that_is_no_number(value: object, result: object, anomalies: list[str]) -> None:
    event = values(sample(value, "Voltage"))
    assert event["payload"]["measurands"]["Voltage"]["value"] == result
    assert event["anomalies"] == anomalies


def test_a_value_beyond_all_numbers_is_null() -> None:
    event = values(sample(1.7e308, "Voltage", unit="V", multiplier=30))
    assert event["payload"]["measurands"]["Voltage"]["value"] is None
    assert event["anomalies"] == ["value_not_a_number"]


def test_a_register_beyond_64_bits_is_no_register_of_a_session() -> None:
    story = Story2x()
    story.started()
    assert story.updated(1, 1e30)[0]["payload"]["totalEnergy"] == 1e27
    old, *_ = story.started(tx="b", at="2023-12-07T12:00:00Z")
    assert old["payload"]["meterStop"] == 1000


def test_a_signature_beside_the_value_changes_nothing() -> None:
    signed = {
        "signedMeterData": "T0NNRnx7IkZWIjoiMS4wIn0=",
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": "",
    }
    assert measured(sample(5000, REGISTER, signedMeterValue=signed))[REGISTER]["value"] == 5.0


def test_phases_places_and_contexts_are_told_apart_as_in_1_6() -> None:
    names = measured(
        sample(230, "Voltage", phase="L1-N"),
        sample(231, "Voltage", phase="L2-N"),
        sample(20, "Temperature", location="Body"),
        sample(30, "Temperature", location="Outlet"),
        sample(1000, REGISTER, context="Transaction.Begin"),
        sample(2000, REGISTER, context="Sample.Periodic"),
        sample(9000, REGISTER, location="Upstream"),
    )
    assert set(names) == {
        "Voltage.L1-N",
        "Voltage.L2-N",
        "Temperature.Body",
        "Temperature",
        f"{REGISTER}.Transaction.Begin",
        REGISTER,
        f"{REGISTER}.Upstream",
    }
    assert names[REGISTER]["value"] == 2.0


def test_what_is_upstream_of_the_meter_is_never_the_evses() -> None:
    event = values(
        sample(9000, REGISTER, location="Upstream"), sample(70, POWER, location="Upstream")
    )
    assert event["payload"]["totalEnergy"] is None
    assert event["payload"]["currentPower"] is None


def test_2x_power_is_the_total_or_the_sum_of_the_phases() -> None:
    assert values(sample(7200, POWER))["payload"]["currentPower"] == 7.2
    phases = [sample(1000.1, POWER, phase=phase) for phase in ("L1", "L2", "L3")]
    assert values(*phases)["payload"]["currentPower"] == 3.0003


def test_meter_values_belong_to_what_goes_on_at_the_evse() -> None:
    story = Story2x()
    assert values(sample(1), story=story)["payload"]["transactionId"] is None
    story.started()
    event = values(sample(6000), story=story)
    assert event["payload"]["transactionId"] == TX
    assert event["payload"]["connectorId"] == 1
    assert values(sample(1), evse=2, story=story)["payload"]["transactionId"] is None
    old, *_ = story.started(tx="b", at="2023-12-07T12:00:00Z", wh=9000)
    assert old["payload"]["meterStop"] == 6000


def test_evse_0_is_the_main_meter_and_has_no_session() -> None:
    story = Story2x()
    story.started(evse=None, wh=None)
    event = values(sample(7), evse=0, story=story)
    assert event["payload"]["evseId"] == 0
    assert event["payload"]["transactionId"] is None


def test_2x_values_out_of_order_do_not_replace_the_last_ones() -> None:
    story = Story2x()
    story.started()
    story.updated(1, 5000)
    [old] = story.updated(2, 4000, at="2023-12-07T10:20:00Z")
    assert old["anomalies"] == ["out_of_order"]
    [backwards] = story.updated(3, 4500, at="2023-12-07T10:31:00Z")
    assert backwards["anomalies"] == ["register_backwards"]
    abandoned, *_ = story.started(tx="b", at="2023-12-07T12:00:00Z")
    assert abandoned["payload"]["meterStop"] == 4500


def test_values_of_an_idle_evse_out_of_order_are_noted() -> None:
    story = Story2x()
    values(sample(7), story=story)
    payload = {"evseId": 1, "meterValue": [element({"value": 6}, timestamp="2023-12-07T10:00:00Z")]}
    [event] = story.call("MeterValues", payload)
    assert event["anomalies"] == ["out_of_order"]


def test_a_2x_clock_that_was_ahead_troubles_only_its_session() -> None:
    story = Story2x()
    story.started(tx="a")
    story.updated(1, at="2029-12-07T10:30:30Z", tx="a")
    story.ended(2, at="2029-12-07T11:45:30Z", tx="a")
    events = story.started(tx="b", at="2023-12-07T12:00:00Z", wh=25000)
    assert not [event for event in events if "anomalies" in event]
    story.ended(1, 26000, "2023-12-07T13:00:00Z", tx="b")
    payload = {
        "evseId": 1,
        "meterValue": [element({"value": 26000}, timestamp="2023-12-07T14:00:00Z")],
    }
    [idle] = story.call("MeterValues", payload)
    assert "anomalies" not in idle


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ({}, "evseId is missing"),
        ({"evseId": -1, "meterValue": []}, "within 0 to 10000"),
        ({"evseId": 1}, "meterValue is missing"),
        ({"evseId": 1, "meterValue": {}}, "a list is needed"),
        ({"evseId": 1, "meterValue": [3]}, "a meterValue element is 3"),
        ({"evseId": 1, "meterValue": [element(3)]}, "a sampledValue is 3"),  # type: ignore[arg-type]  # meant to be wrong
        ({"evseId": 1, "meterValue": [element(sample(1, 2))]}, "measurand"),  # type: ignore[arg-type]
        ({"evseId": 1, "meterValue": [element({"value": 1, "unitOfMeasure": "Wh"})]}, "unitOfM"),
        ({"evseId": 1, "meterValue": [element(sample(1, unit=3))]}, "unit of a sampledValue"),
    ],
)
def test_2x_values_that_can_not_be_read_are_indigestible(payload: object, why: str) -> None:
    story = Story2x()
    with pytest.raises(IndigestibleFrameError, match=why):
        story.call("MeterValues", payload)
    assert story.rows.rows == {}
