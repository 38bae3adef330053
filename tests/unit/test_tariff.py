"""Tariffs: which one applies, what a session costs, what a file may say."""

from decimal import Decimal
from pathlib import Path

import pytest
from frames16 import Story, sample

from processor.tariff import DEFAULT_TARIFF, Tariff, TariffError, Tariffs

MINUTE = 60_000_000
NEW_YEAR = 1_704_067_200_000_000  # 2024-01-01T00:00:00Z


def _priced(text: str, story: Story | None = None) -> dict[str, object]:
    """The payload of the session_cost of 24 kWh in 90 minutes."""
    story = story or Story(Tariffs.parse(text))
    story.start()
    event = story.stop()[-1]
    assert event["eventType"] == "session_cost"
    payload: dict[str, object] = event["payload"]
    return payload


def test_without_a_file_a_kwh_costs_12_us_cents() -> None:
    assert Tariffs().entries == (DEFAULT_TARIFF,)
    cost = _priced("", Story())
    assert cost["estimatedCost"] == pytest.approx(2.88)
    assert (cost["currency"], cost["pricingModel"]) == ("USD", "energy_based")
    assert (cost["energyRate"], cost["timeRate"]) == (0.12, 0.0)
    assert "sessionFee" not in cost


@pytest.mark.parametrize(
    ("settings", "model", "cost"),
    [
        ("energy_rate = 0.30", "energy_based", 7.20),
        ("time_rate = 0.05", "time_based", 4.50),
        ("energy_rate = 0.30\ntime_rate = 0.05", "energy_and_time_based", 11.70),
        ("energy_rate = 0.30\nsession_fee = 1", "energy_based", 8.20),
        ("energy_rate = 0", "energy_based", 0.0),
    ],
)
def test_energy_time_and_fee_add_up(settings: str, model: str, cost: float) -> None:
    payload = _priced(f'[[tariff]]\ncurrency = "EUR"\n{settings}')
    assert payload["estimatedCost"] == pytest.approx(cost)
    assert payload["pricingModel"] == model
    assert payload["currency"] == "EUR"


def test_a_session_fee_is_a_field_of_its_own_at_the_end() -> None:
    payload = _priced('[[tariff]]\ncurrency = "EUR"\nsession_fee = 0.5')
    assert list(payload)[-1] == "sessionFee"
    assert payload["sessionFee"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("currency", "wh", "cost"),
    [
        ("EUR", 50, "0.01"),  # half a cent up
        ("EUR", 49, "0.00"),
        ("EUR", 150, "0.02"),
        ("JPY", 5000, "1"),
        ("JPY", 4999, "0"),
        ("KWD", 5, "0.001"),
        ("KWD", 4, "0.000"),
    ],
)
def test_cost_is_rounded_half_up_to_the_minor_unit(currency: str, wh: int, cost: str) -> None:
    assert str(Tariff(energy_rate=Decimal("0.1"), currency=currency).cost(wh, 0)) == cost


def test_nothing_is_rounded_before_the_sum() -> None:
    tariff = Tariff(energy_rate=Decimal("0.004"), time_rate=Decimal("0.003"), currency="EUR")
    # 0.004 + 0.001: neither part makes half a cent on its own.
    assert tariff.cost(1000, MINUTE // 3) == Decimal("0.01")


@pytest.mark.parametrize(
    ("rates", "wh", "micros", "known"),
    [
        ({"energy_rate": 1}, None, MINUTE, False),
        ({"energy_rate": 1}, 1000, None, True),
        ({"time_rate": 1}, None, MINUTE, True),
        ({"time_rate": 1}, 1000, None, False),
        ({"session_fee": 1}, None, None, True),
    ],
)
def test_only_what_is_charged_has_to_be_known(
    rates: dict[str, int],
    wh: int | None,
    micros: int | None,
    known: bool,  # noqa: FBT001  # pytest
) -> None:
    tariff = Tariff(currency="EUR", **{name: Decimal(rate) for name, rate in rates.items()})  # type: ignore[arg-type]  # rates only
    cost = tariff.cost(wh, micros)
    assert cost == (Decimal(1) if known else None)


def test_a_cost_beyond_all_reason_is_unknown() -> None:
    story = Story(Tariffs.parse('[[tariff]]\ncurrency = "EUR"\nenergy_rate = 999999'))
    story.start()
    # In no time at all: the clock stands still, so nothing says that the energy is wrong.
    [completed] = story.stop(meterStop=2**62, timestamp="2023-12-07T10:15:30Z")
    assert completed["anomalies"] == ["cost_unknown"]


def test_time_charged_but_unknown_gives_no_cost() -> None:
    story = Story(Tariffs.parse('[[tariff]]\ncurrency = "EUR"\ntime_rate = 1'))
    story.start()
    [completed] = story.stop(timestamp="never")
    assert completed["anomalies"] == ["cost_unknown", "timestamp_unreadable"]


TWO_YEARS = """
[[tariff]]
currency = "EUR"
energy_rate = 0.1
valid_to = 2024-01-01T00:00:00Z

[[tariff]]
currency = "EUR"
energy_rate = 0.2
valid_from = 2024-01-01T01:00:00+01:00
"""


@pytest.mark.parametrize(
    ("start", "cost"), [("2023-12-31T23:59:59Z", 2.4), ("2024-01-01T00:00:00Z", 4.8)]
)
def test_the_tariff_in_force_at_the_start_applies(start: str, cost: float) -> None:
    story = Story(Tariffs.parse(TWO_YEARS))
    story.wait_until("2024-01-01T02:00:00Z")
    story.start(timestamp=start)
    event = story.stop(timestamp="2024-01-01T02:00:00Z")[-1]
    assert event["payload"]["estimatedCost"] == pytest.approx(cost)


def test_without_a_start_time_the_time_of_receipt_decides() -> None:
    story = Story(Tariffs.parse(TWO_YEARS))
    story.start(timestamp="1970-01-01T00:00:00Z")
    assert story.stop()[-1]["payload"]["estimatedCost"] == pytest.approx(2.4)
    later = Story(Tariffs.parse(TWO_YEARS))
    later.at = NEW_YEAR * 1000
    later.start(timestamp="1970-01-01T00:00:00Z")
    assert later.stop()[-1]["payload"]["estimatedCost"] == pytest.approx(4.8)


def test_the_first_tariff_that_fits_place_and_connector_applies() -> None:
    tariffs = Tariffs.parse(
        """
        [[tariff]]
        currency = "EUR"
        energy_rate = 0.5
        charge_points = ["depot-*", "CP?"]
        connectors = [2]
        [[tariff]]
        currency = "EUR"
        energy_rate = 0.4
        charge_points = ["depot-*"]
        [[tariff]]
        currency = "EUR"
        energy_rate = 0.3
        """
    )

    def rate(client_id: str, connector: int) -> Decimal:
        tariff = tariffs.at(client_id, connector, NEW_YEAR)
        assert tariff is not None
        return tariff.energy_rate

    assert rate("depot-1", 2) == rate("CP9", 2) == Decimal("0.5")
    assert rate("depot-1", 1) == Decimal("0.4")
    assert rate("CP10", 2) == rate("Depot-1", 2) == Decimal("0.3")


def test_where_no_tariff_applies_there_is_no_cost() -> None:
    story = Story(Tariffs.parse('[[tariff]]\ncurrency = "EUR"\nenergy_rate = 1\nconnectors = [2]'))
    story.start()
    story.values(sample("25000"))
    [completed] = story.stop()
    assert completed["anomalies"] == ["cost_unknown", "no_tariff"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            "currency = 'EUR'\nenergy_rate = '0.3'",
            r"tariff 1: energy_rate is '0.3'; expected",
        ),
        ("currency = 'EUR'\nenergy_rate = -0.3", "energy_rate is -0.3; expected a number from 0"),
        ("currency = 'EUR'\nenergy_rate = nan", "energy_rate is NaN"),
        ("currency = 'EUR'\ntime_rate = inf", "time_rate is Infinity"),
        ("currency = 'EUR'\ntime_rate = true", "time_rate is True"),
        ("currency = 'EUR'\ntime_rate = 0.0000001", "time_rate is 1E-7; .* at most 6 decimals"),
        ("currency = 'EUR'\nsession_fee = 1000000", "session_fee is 1000000; .* below 1000000"),
        ("currency = 'EUR'", "nothing is charged"),
        ("energy_rate = 1", "currency is None; expected an ISO 4217 code"),
        ("energy_rate = 1\ncurrency = 'EURO'", "currency is 'EURO'"),
        ("energy_rate = 1\ncurrency = 'eur'", "currency is 'eur'"),
        ("energy_rate = 1\ncurrency = 'EUR'\nenergyrate = 1", "unknown setting 'energyrate'"),
        ("energy_rate = 1\ncurrency = 'EUR'\nconnectors = []", r"connectors is \[\]"),
        ("energy_rate = 1\ncurrency = 'EUR'\nconnectors = [0]", r"connectors is \[0\]"),
        ("energy_rate = 1\ncurrency = 'EUR'\ncharge_points = 'a'", "charge_points is 'a'"),
        ("energy_rate = 1\ncurrency = 'EUR'\nvalid_from = 2026-01-01", "date-time with zone"),
        ("energy_rate = 1\ncurrency = 'EUR'\nvalid_to = 2026-01-01T00:00:00", "with zone"),
        (
            "currency = 'EUR'\nvalid_from = 2026-01-01T00:00:00Z\nvalid_to = 2026-01-01T00:00:00Z",
            "valid_to must be later than valid_from",
        ),
    ],
)
def test_a_wrong_setting_is_named(settings: str, reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        Tariffs.parse(f"[[tariff]]\n{settings}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no .*tariff.* entry"),
        ("tariff = 5", "no .*tariff.* entry"),
        ("tariff = [5]", "tariff 1: expected a table"),
        ("[[tarif]]", "unknown name 'tarif'"),
        ("[[tariff", "no TOML"),
    ],
)
def test_a_file_that_holds_no_tariffs_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TariffError, match=reason):
        Tariffs.parse(text)


def test_a_file_is_loaded_and_errors_name_it(tmp_path: Path) -> None:
    path = tmp_path / "tariffs.toml"
    with pytest.raises(TariffError, match="can't be read"):
        Tariffs.load(path)
    path.write_text(TWO_YEARS, encoding="utf-8")
    assert len(Tariffs.load(path).entries) == 2
    path.write_text("[[tariff]]", encoding="utf-8")
    with pytest.raises(TariffError, match=r"tariffs\.toml: tariff 1: nothing is charged"):
        Tariffs.load(str(path))
    path.write_bytes(b"\xff")
    with pytest.raises(TariffError, match="can't be read"):
        Tariffs.load(path)


def test_the_documented_example_is_a_tariff_file() -> None:
    text = (Path(__file__).parents[2] / "docs" / "tariffs.md").read_text(encoding="utf-8")
    example = text.split("```toml\n")[1].split("```")[0]
    assert len(Tariffs.parse(example).entries) == 3
