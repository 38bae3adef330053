import pytest
from aiokafka.partitioner import DefaultPartitioner, murmur2

from ingress import identity
from ingress.connections import Connections
from ingress.errors import IdentityError
from ingress.pace import Pace
from ingress.transaction_ids import FirstOffsets


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/CP1", "CP1"),
        ("/ocpp/1.6/CP1", "CP1"),
        ("/CP1?token=a/b", "CP1"),
        ("/CP%201%2F%2B%23", "CP 1/+#"),
        ("/CP%2541", "CP%41"),  # decoded once, not twice
        ("/DE*ABC*E%C3%A9", "DE*ABC*Eé"),
        ("/" + "x" * 48, "x" * 48),
    ],
)
def test_identity_is_the_last_segment_decoded_once(path: str, expected: str) -> None:
    assert identity.from_path(path) == expected


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/", 404, "without a charge point identity"),
        ("/ocpp/", 404, "without a charge point identity"),
        ("/?CP1", 404, "without a charge point identity"),
        ("/" + "x" * 49, 400, "49 characters; at most 48"),
        ("/CP%00", 400, "control or invisible"),
        ("/CP%0A", 400, "control or invisible"),
        ("/CP%E2%80%AE1", 400, "control or invisible"),  # right-to-left override
        ("/CP%E2%80%A8", 400, "control or invisible"),  # line separator
        ("/%FF", 400, "not percent-encoded UTF-8"),
        ("/%20", 400, "blank"),
    ],
)
def test_wrong_identity_is_refused_with_a_reason(path: str, status: int, reason: str) -> None:
    with pytest.raises(IdentityError, match=reason) as refused:
        identity.from_path(path)
    assert refused.value.status == status


def test_newest_connection_wins_and_the_old_one_can_not_remove_it() -> None:
    connections: Connections[object] = Connections()
    old, new = object(), object()
    assert connections.claim("CP1", old) is None
    assert connections.claim("CP1", new) is old
    connections.release("CP1", old)
    assert connections.all() == [new]
    connections.release("CP1", new)
    assert len(connections) == 0


def test_pace_lets_a_burst_through_and_then_holds_back() -> None:
    pace = Pace(10, now_s=100.0)
    assert [pace.delay(100.0) for _ in range(10)] == [0.0] * 10
    assert pace.delay(100.0) == pytest.approx(0.1)
    assert pace.delay(100.1) == pytest.approx(0.1)
    # After a long pause there is one second's worth again, not more.
    assert [pace.delay(500.0) for _ in range(10)] == [0.0] * 10
    assert pace.delay(500.0) == pytest.approx(0.1)


def test_transaction_id_is_offset_plus_one_of_the_first_record() -> None:
    offsets = FirstOffsets()
    for offset, key in enumerate([b"a", b"b", b"a", b"c"]):
        offsets.record(key, offset)
    assert [offsets.transaction_id(k) for k in (b"a", b"b", b"c", b"d")] == [1, 2, 4, None]
    offsets.record(b"a", 0)  # read again after a rewind
    assert (offsets.position, offsets.transaction_id(b"a")) == (4, 1)


@pytest.mark.parametrize(
    ("key", "java"),
    [
        # Results of the Java client's Utils.murmur2 (its own UtilsTest).
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_producer_partitions_as_the_java_client_does(key: bytes, java: int) -> None:
    assert murmur2(key) == java % 2**32
    expected = (java & 0x7FFFFFFF) % 8
    assert DefaultPartitioner()(key, list(range(8)), list(range(8))) == expected
