"""Record headers: the CloudEvents attributes in Kafka's binary mode."""

from avro_records import EXAMPLES, FRAME

from schemas.events import BusinessEvent
from schemas.headers import event_headers, frame_headers


def test_a_frame_is_identified_by_its_connection_and_time() -> None:
    assert dict(frame_headers(FRAME)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"7f9c24e8:1701944130123456789",
        "ce_type": b"chargelog.frame.call",
        "ce_source": b"/charge-points/charge-point-001",
        "ce_time": b"2023-12-07T10:15:30.123456Z",
        "content-type": b"application/avro",
    }


def test_an_event_is_identified_by_its_event_id() -> None:
    event = EXAMPLES["business_event.started"]
    assert isinstance(event, BusinessEvent)
    assert dict(event_headers(event)) == {
        "ce_specversion": b"1.0",
        "ce_id": b"started_1701944130123456789",
        "ce_type": b"chargelog.started",
        "ce_source": b"/charge-points/charge-point-001",
        "ce_time": b"2023-12-07T10:15:30.123456Z",
        "content-type": b"application/avro",
    }
