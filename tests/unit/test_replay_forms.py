"""Files of events: what other readers find in them, and what a comparison finds."""

import gzip
import json
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pyarrow.parquet as pq
import pytest
from avro.datafile import DataFileReader
from avro.io import DatumReader
from frames16 import Story, element, sample
from replay_kit import fleet, fold, replay, write_export

from processor.replay import RejectedLinesWarning
from processor.replay import replay as iterate
from processor.replay.errors import UsageError
from processor.replay.lanes import lane_of
from processor.replay.outputs.forms import AvroContainer
from schemas.codec import event_codec
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

FRAMES = fleet(12, 3_000)
PREFIX = 10  # of single-object encoding
TARIFF = '[[tariff]]\nenergy_rate = 0.2\ncurrency = "EUR"\n'


def story() -> list[OcppFrame]:
    """Every event type, anomalies and nulls among them."""
    told = Story()
    told.status("Charging")
    told.start(7)
    told.meter(element(sample("12", "Energy.Active.Import.Register"), sample("nonsense", "SoC")))
    told.stop(7, meterStop=900)
    told.start(8, timestamp="2023-12-07T12:00:00Z")
    told.stop(8, timestamp="2023-12-07T13:00:00Z")
    return told.frames


def test_an_avro_files_records_are_the_topics_bytes_to_two_other_readers(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", [*FRAMES, *story()])
    out = tmp_path / "events.avro"
    assert replay(export, "--out", out, cwd=tmp_path).returncode == 0
    events = sorted(fold([*FRAMES, *story()]), key=lambda event: lane_of(event.client_id, 8))
    codec = event_codec()
    with out.open("rb") as file:
        found: list[Any] = list(fastavro.block_reader(file))
        blocks = b"".join(block.bytes_.getvalue() for block in found)
    assert blocks == b"".join(codec.encode(event)[PREFIX:] for event in events)
    with out.open("rb") as file:
        records: list[Any] = list(DataFileReader(file, DatumReader()))
    assert [record["eventId"] for record in records] == [event.event_id for event in events]


def test_a_container_of_nothing_can_be_read() -> None:
    form = AvroContainer(event_codec())
    assert list(fastavro.reader(BytesIO(form.header))) == []


def test_a_parquet_file_has_a_column_for_each_field(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", story())
    out = tmp_path / "events.parquet"
    assert replay(export, "--out", out, cwd=tmp_path).returncode == 0
    rows: list[dict[str, Any]] = pq.read_table(out).to_pylist()
    events = fold(story())
    assert [row["eventId"] for row in rows] == [event.event_id for event in events]
    (cost,) = [row for row in rows if row["eventType"] == "session_cost"]
    assert (cost["transactionId"], cost["estimatedCost"]) == ("8", Decimal("2.88"))
    assert cost["startTime"] == datetime(2023, 12, 7, 12, tzinfo=UTC)
    (reading,) = [row for row in rows if row["eventType"] == "meter_reading"]
    assert dict(reading["measurands"])["SoC"] == {
        "value": None,
        "unit": "Percent",
        "context": "Sample.Periodic",
    }
    assert reading["anomalies"] == ["value_not_a_number"]
    assert reading["meterTimestamp"] == datetime(2023, 12, 7, 10, 30, 30, tzinfo=UTC)


@pytest.mark.parametrize("suffix", ["jsonl.gz", "avro", "parquet"])
def test_a_comparison_with_its_own_output_finds_nothing(tmp_path: Path, suffix: str) -> None:
    export = write_export(tmp_path / "frames.jsonl", [*FRAMES, *story()])
    out = tmp_path / f"events.{suffix}"
    assert replay(export, "--out", out, cwd=tmp_path).returncode == 0
    done = replay(export, "--diff", out, "--json", "--processes", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["differences"]
    assert (found["same"], found["byChargePoint"]) == (len(fold([*FRAMES, *story()])), {})


@pytest.mark.parametrize("suffix", ["jsonl", "avro"])
def test_a_tariffs_change_is_told_by_field_and_money(tmp_path: Path, suffix: str) -> None:
    export = write_export(tmp_path / "frames.jsonl", FRAMES)
    (tmp_path / "new.toml").write_text(TARIFF)
    out = tmp_path / f"events.{suffix}"
    assert replay(export, "--out", out, cwd=tmp_path).returncode == 0
    done = replay(
        *(export, "--diff", out, "--tariff", "new.toml"),
        *("--differences", "changes.jsonl", "--json"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)["differences"]
    costs = [event for event in fold(FRAMES) if event.event_type == "session_cost"]
    assert found["changed"] == len(costs) > 10
    assert (found["added"], found["removed"]) == (0, 0)
    fields = {"payload.estimatedCost", "payload.currency", "payload.energyRate"}
    assert found["changedFields"] == {"session_cost": dict.fromkeys(fields, len(costs))}
    before = sum(_cost(event) for event in costs)
    assert Decimal(found["money"]["USD"]["before"]) == before
    assert found["money"]["USD"]["after"] == "0"
    assert Decimal(found["money"]["EUR"]["after"]) > before
    listed = [json.loads(line) for line in (tmp_path / "changes.jsonl").read_text().splitlines()]
    assert {one["eventId"] for one in listed} == {event.event_id for event in costs}
    assert all(set(one["fields"]) == fields for one in listed)


def _cost(event: BusinessEvent) -> Decimal:
    cost: Decimal = event.payload.estimated_cost  # type: ignore[union-attr]  # a session_cost
    return cost


def test_what_was_added_removed_and_moved_is_told(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", story())
    out = tmp_path / "events.jsonl"
    assert replay(export, "--out", out, cwd=tmp_path).returncode == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    removed = {**lines[0], "eventId": "status_changed_5"}
    moved = json.loads(json.dumps(lines[-1]))
    kind, _, ns = moved["eventId"].rpartition("_")
    moved["eventId"] = f"{kind}_{int(ns) + 1}"
    against = [removed, *lines[1:-1], moved]
    (tmp_path / "there.jsonl").write_text("".join(json.dumps(one) + "\n" for one in against))
    done = replay(
        *(export, "--diff", "there.jsonl", "--differences", "d.jsonl", "--json"), cwd=tmp_path
    )
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)["differences"]
    assert (found["added"], found["removed"], found["changed"]) == (1, 1, 1)
    assert found["changedFields"] == {moved["eventType"]: {"eventId": 1}}
    lines_of_file = (tmp_path / "d.jsonl").read_text().splitlines()
    listed = {one["difference"]: one for one in map(json.loads, lines_of_file)}
    assert listed["added"]["after"]["eventId"] == lines[0]["eventId"]
    assert listed["removed"]["before"]["eventId"] == "status_changed_5"


def test_a_comparison_with_what_holds_no_events_says_where(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", FRAMES[:10])
    (tmp_path / "there.jsonl").write_text('{"clientId": 7}\n')
    (tmp_path / "there.avro").write_text("no Avro")
    for name in ("there.jsonl", "there.avro"):
        done = replay(export, "--diff", name, cwd=tmp_path)
        assert (done.returncode, f"{name} holds no business events" in done.stderr) == (3, True)
    missing = replay(export, "--diff", "csms.events", cwd=tmp_path)
    assert (missing.returncode, "end it in .jsonl" in missing.stderr) == (2, True)


def test_notebooks_iterate_in_the_order_of_the_history(tmp_path: Path) -> None:
    export = tmp_path / "frames.jsonl.gz"
    export.write_bytes(gzip.compress(write_export(tmp_path / "plain", FRAMES).read_bytes()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert list(iterate(export)) == fold(FRAMES)
    some = iterate(export, charge_points=["CP000003"])
    first = next(some)
    table = some.table()
    mine = fold([frame for frame in FRAMES if frame.client_id == "CP000003"])
    assert first == mine[0]
    assert table.column("eventId").to_pylist() == [event.event_id for event in mine[1:]]
    frame = table.to_pandas()
    costs = frame[frame.eventType == "session_cost"].estimatedCost
    assert sum(costs) == sum(_cost(e) for e in mine if e.event_type == "session_cost")
    middle = datetime.fromtimestamp(mine[len(mine) // 2].timestamp // 10**6, UTC)
    later = list(iterate(export, charge_points=["CP000003"], since=middle))
    assert later == [event for event in mine if event.timestamp >= middle.timestamp() * 10**6]


def test_notebooks_are_warned_of_what_can_not_be_used(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", FRAMES[:100])
    with export.open("a") as file:
        file.write('{"nothing":1}\n')
    run = iterate(export)
    with pytest.warns(RejectedLinesWarning, match="no exported frame: 1"):
        assert list(run) == fold(FRAMES[:100])
    assert [reject.where for reject in run.rejects] == [f"{export}:101"]
    with pytest.raises(UsageError, match="need a zone"):
        iterate(export, since=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault
