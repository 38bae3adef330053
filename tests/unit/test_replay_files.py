"""Exported frames → event files, with any number of processes, stopped and resumed."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import zstandard
from replay_kit import command, environment, fleet, fold, replay, write_export

from processor.replay.against import Kafka
from processor.replay.checkpoint import Checkpoint
from processor.replay.errors import ReplayError
from processor.replay.job import ToFile
from processor.replay.lanes import lane_of
from processor.replay.run import Request, files, perform
from runtime.kafka_access import KafkaAccess
from schemas.event_json import to_json
from schemas.events import BusinessEvent
from schemas.frames import OcppFrame

FRAMES = fleet(20, 3_000)
LANES = 8
LONG = 24_000


def by_lane(events: list[BusinessEvent]) -> list[BusinessEvent]:
    return sorted(events, key=lambda event: lane_of(event.client_id, LANES))


def lines(events: list[BusinessEvent]) -> bytes:
    return b"".join(to_json(event) + b"\n" for event in by_lane(events))


def test_a_file_is_the_pure_fold_lane_after_lane_whatever_the_number_of_processes(
    tmp_path: Path,
) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES)
    for processes in ("1", "2", "4"):
        out = tmp_path / f"events-{processes}.jsonl"
        done = replay("frames.jsonl", "--out", out, "--processes", processes, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert out.read_bytes() == lines(fold(FRAMES))
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".replay")] == []


def test_compressed_files_hold_the_same_lines(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", FRAMES)
    compressed = tmp_path / "any-name"
    compressed.write_bytes(zstandard.ZstdCompressor().compress(export.read_bytes()))
    expected = lines(fold(FRAMES))
    for suffix, opened in (("gz", gzip.decompress), ("zst", _unzstd)):
        out = tmp_path / f"events.jsonl.{suffix}"
        done = replay(compressed, "--out", out, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert opened(out.read_bytes()) == expected


def _unzstd(data: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    return reader.read()


@pytest.fixture(scope="module")
def long_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough to be stopped in the middle."""
    return write_export(tmp_path_factory.mktemp("long") / "frames.jsonl", fleet(50, LONG))


@pytest.mark.parametrize("suffix", ["jsonl.gz", "avro", "parquet"])
def test_a_killed_and_resumed_run_writes_the_file_of_one_that_was_not(
    tmp_path: Path, long_export: Path, suffix: str
) -> None:
    whole, cut = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    assert replay(long_export, "--out", whole, cwd=tmp_path).returncode == 0
    arguments = (long_export, "--out", cut, "--processes", "2")
    stopped_by(signal.SIGKILL, arguments, cut)
    assert not cut.exists()
    refused = replay(*arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--resume" in refused.stderr
    # The number of processes may be another one.
    done = replay(long_export, "--out", cut, "--resume", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["frames"] == LONG
    assert cut.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"{cut.name}.replay").exists()


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, long_export: Path) -> None:
    out = tmp_path / "events.jsonl"
    arguments = (long_export, "--out", out, "--processes", "2")
    code, said = stopped_by(signal.SIGINT, arguments, out)
    assert code == 130, said
    shown = said.strip().splitlines()[-1]
    assert "stopped; what is done is kept in" in shown
    again = shown.partition("Go on with: chargelog-replay ")[2].split()
    done = replay(*again, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == lines(fold(fleet(50, LONG)))


def begun(out: Path) -> bool:
    """Whether the run has made a checkpoint that holds rows."""
    empty = 20_000  # bytes of a checkpoint without any, and some
    sizes = [0]
    for path in out.with_name(f"{out.name}.replay").glob("lane-*.sqlite"):
        with suppress(FileNotFoundError):  # the run has ended
            sizes.append(path.stat().st_size)
    return max(sizes) > empty


def stopped_by(
    number: signal.Signals, arguments: tuple[str | Path, ...], out: Path
) -> tuple[int, str]:
    """Stop the command in the middle; its exit code and what it said."""
    for _ in range(3):
        stopped = _stopped_by(number, arguments, out)
        if stopped is not None and not out.exists():
            return stopped
        # It was at its end before the signal came: once more.
        out.unlink(missing_ok=True)
        shutil.rmtree(out.with_name(f"{out.name}.replay"), ignore_errors=True)
    raise AssertionError("it ended each time before it could be stopped")


def _stopped_by(
    number: signal.Signals, arguments: tuple[str | Path, ...], out: Path
) -> tuple[int, str] | None:
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command(*arguments),
        cwd=out.parent,
        env=environment({"REPLAY_CHECKPOINT_SECONDS": "0.05"}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        end = time.monotonic() + 90
        while not begun(out):
            if process.poll() is not None:
                return None
            assert time.monotonic() < end, "it did not begin"
            time.sleep(0.002)
        process.send_signal(number)
        _, said = process.communicate(timeout=90)
        return None if process.returncode == 0 else (process.returncode, said)


def test_a_resumed_run_must_be_the_one_that_was_stopped(tmp_path: Path, long_export: Path) -> None:
    out = tmp_path / "events.jsonl"
    export = Path(shutil.copy(long_export, tmp_path))
    stopped_by(signal.SIGKILL, (export, "--out", out), out)
    os.utime(export, (0, 0))
    done = replay(export, "--out", out, "--resume", cwd=tmp_path)
    assert done.returncode == 2
    assert "another one (source differ)" in done.stderr
    nothing = replay(export, "--out", "other.jsonl", "--resume", cwd=tmp_path)
    assert nothing.returncode == 2
    assert "no stopped run in other.jsonl.replay" in nothing.stderr


def test_two_runs_do_not_write_one_lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.replay.checkpoint._WAIT_S", 0.1)
    first = Checkpoint(tmp_path / "lane-0.sqlite")
    with pytest.raises(ReplayError, match="another replay is at work on it"):
        Checkpoint(tmp_path / "lane-0.sqlite")
    first.close()
    Checkpoint(tmp_path / "lane-0.sqlite").close()


def test_a_time_range_begins_with_the_state_before_it(tmp_path: Path) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES)
    events = fold(FRAMES)
    middle = events[len(events) // 2].timestamp
    since = f"{middle // 10**6 * 10**6}"
    text = _utc(int(since))
    done = replay("frames.jsonl", "--out", "later.jsonl", "--since", text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    later = [event for event in events if event.timestamp >= int(since)]
    assert (tmp_path / "later.jsonl").read_bytes() == lines(later)
    done = replay("frames.jsonl", "--out", "earlier.jsonl", "--until", text, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    earlier = [event for event in events if event.timestamp < int(since)]
    assert (tmp_path / "earlier.jsonl").read_bytes() == lines(earlier)


def _utc(micros: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(micros // 10**6))


def test_charge_points_are_chosen_by_pattern(tmp_path: Path) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES)
    done = replay(
        "frames.jsonl",
        *("--out", "some.jsonl", "--charge-point", "CP00001?", "--charge-point", "CP000003"),
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    chosen = [f for f in FRAMES if f.client_id.startswith("CP00001") or f.client_id == "CP000003"]
    assert (tmp_path / "some.jsonl").read_bytes() == lines(fold(chosen))
    found = json.loads(done.stdout)
    assert found["frames"] == len(chosen)
    assert found["otherChargePoints"] == len(FRAMES) - len(chosen)


def test_without_an_output_events_are_counted(tmp_path: Path) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES)
    done = replay("frames.jsonl", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert sum(found["events"].values()) == len(fold(FRAMES))
    assert [path.name for path in tmp_path.iterdir()] == ["frames.jsonl"]


def test_what_is_rejected_is_counted_and_listed_with_its_place(tmp_path: Path) -> None:
    path = write_export(tmp_path / "frames.jsonl", FRAMES[:100])
    broken = OcppFrame(
        client_id="CP000001",
        received_at_ns=FRAMES[99].received_at_ns + 1,
        direction="inbound",
        protocol="ocpp1.6",
        kind="CALL",
        message_id="x",
        action="StatusNotification",
        raw=b'[2,"x","StatusNotification",{"status":"Available"}]',
        connection_id="c",
    )
    from_export = path.read_bytes()
    path.write_bytes(from_export + b'{"clientId":"CP1"}\nnothing at all\n')
    write_export(tmp_path / "more.jsonl", [broken])
    for processes in ("1", "3"):
        done = replay(
            *("frames.jsonl", "more.jsonl", "--processes", processes, "--rejects", "r", "--json"),
            cwd=tmp_path,
        )
        assert done.returncode == 4, done.stderr
        found = json.loads(done.stdout)
        assert found["rejected"] == {"no exported frame": 2, "frame indigestible": 1}
        assert found["rejectFile"] == "r"
        first, second, third = (tmp_path / "r").read_text().splitlines()
        assert first.startswith("frames.jsonl:101: no exported frame: ")
        assert first.endswith(': {"clientId":"CP1"}')
        assert second.startswith("frames.jsonl:102: no exported frame: ")
        assert third.startswith("more.jsonl:1: frame indigestible: StatusNotification CALL 'x'")


def test_an_output_that_is_there_is_kept(tmp_path: Path) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES[:100])
    (tmp_path / "events.jsonl").write_text("precious")
    refused = replay("frames.jsonl", "--out", "events.jsonl", cwd=tmp_path)
    assert (refused.returncode, (tmp_path / "events.jsonl").read_text()) == (2, "precious")
    assert "--overwrite" in refused.stderr
    done = replay("frames.jsonl", "--out", "events.jsonl", "--overwrite", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "events.jsonl").read_bytes() == lines(fold(FRAMES[:100]))


def test_a_run_deletes_nothing_that_it_did_not_make(tmp_path: Path) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES[:100])
    (tmp_path / "mine").write_text("precious")
    refused = replay("frames.jsonl", "--out", "events.jsonl", "--checkpoint", ".", cwd=tmp_path)
    assert refused.returncode == 2
    assert "holds other files" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames.jsonl", "mine"]
    # The output, and what was put there meanwhile, stay where a run has its folder.
    (tmp_path / "work").mkdir()
    done = replay("frames.jsonl", "--out", "work/e.jsonl", "--checkpoint", "work", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["e.jsonl"]


@pytest.mark.parametrize("option", ["--out", "--rejects", "--differences"])
def test_where_files_go_is_looked_at_before_the_run(tmp_path: Path, option: str) -> None:
    write_export(tmp_path / "frames.jsonl", FRAMES[:100])
    (tmp_path / "events.jsonl").touch()
    options = ("--diff", "events.jsonl") if option == "--differences" else ("--overwrite",)
    for path, said in (
        ("nowhere/e.jsonl", "there is no folder nowhere"),
        ("frames.jsonl", "frames.jsonl is read by this run"),
    ):
        done = replay("frames.jsonl", option, path, *options, cwd=tmp_path)
        assert (done.returncode, said in done.stderr) == (2, True), done.stderr
        assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "frames.jsonl").read_bytes().count(b"\n") == 100


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_disk_that_is_full_is_named_and_the_run_can_be_resumed(
    tmp_path: Path, long_export: Path, processes: str
) -> None:
    arguments = (long_export, "--out", tmp_path / "events.jsonl", "--processes", processes)
    full = subprocess.run(  # noqa: S603 - our own interpreter
        ["/bin/sh", "-c", 'ulimit -f 512 && exec "$@"', "sh", *command(*arguments)],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert full.returncode == 3
    (line,) = full.stderr.splitlines()
    assert "File too large" in line or "the checkpoint" in line
    done = replay(*arguments, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "events.jsonl").read_bytes() == lines(fold(fleet(50, LONG)))


def test_a_run_that_is_killed_while_it_clears_up_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = write_export(tmp_path / "frames.jsonl", FRAMES)
    out = tmp_path / "events.jsonl"
    request = Request(source=files([str(export)], "jsonl", None), target=ToFile(str(out)), lanes=2)
    expected = sorted(fold(FRAMES), key=lambda event: lane_of(event.client_id, 2))
    unlink = Path.unlink

    def run(request: Request) -> None:
        perform(request, Kafka(KafkaAccess("127.0.0.1:1"), None), threading.Event())

    for kept in range(7):  # two lanes' checkpoints, events and rejects, and what is to be done
        deleted = iter(range(kept))

        def killed(path: Path, deleted: Iterator[int] = deleted) -> None:
            if next(deleted, None) is None:
                raise KeyboardInterrupt
            unlink(path)

        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                run(request)
        out.unlink()
        run(msgspec.structs.replace(request, resume=True))
        assert out.read_bytes() == b"".join(to_json(event) + b"\n" for event in expected)
        assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, export.name]
        out.unlink()
