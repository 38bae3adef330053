import pytest

from processor.rows import PartitionRows
from processor.state import ConnectorRow, RowError, encode_row

CHARGING = ConnectorRow(status="Charging")


def test_a_restored_row_is_decoded_when_it_is_asked_for() -> None:
    rows = PartitionRows()
    rows.restore("1|CP0", encode_row(CHARGING))
    rows.restore("1|CP1", b"{broken")
    assert rows.encoded("1|CP1") == b"{broken"
    assert rows.get("1|CP0") == CHARGING
    assert rows.get("1|CP0") is rows.get("1|CP0")
    with pytest.raises(RowError, match=r"1\|CP1"):
        rows.get("1|CP1")


def test_a_record_without_value_deletes_the_row() -> None:
    rows = PartitionRows()
    rows.restore("1|CP0", encode_row(CHARGING))
    rows.restore("1|CP0", None)
    rows.restore("1|CP1", None)
    assert (rows.get("1|CP0"), len(rows), list(rows)) == (None, 0, [])


def test_what_is_put_is_what_is_encoded() -> None:
    rows = PartitionRows()
    rows.restore("1|CP0", encode_row(ConnectorRow()))
    rows.update({"1|CP0": CHARGING})
    assert rows.encoded("1|CP0") == encode_row(CHARGING)
    assert rows.encoded("1|CP1") is None
