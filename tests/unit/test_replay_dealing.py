"""One process reads the logs for the others: what comes out is what each would have read itself."""

import gzip
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import psutil
import pytest
import zstandard
from frames16 import frame
from hypothesis import example, given
from hypothesis import strategies as st
from replay_kit import ROOT, command, environment, fleet, replay, write_export

from processor.replay.dealt import Dealt, Part, dealt, entries_of
from processor.replay.errors import Rejected
from processor.replay.logs.correlation import Correlation
from processor.replay.logs.entries import Content, Entry, LogMessage, Other, Stretch
from processor.replay.logs.export_lines import JsonLinesReader, to_line
from processor.replay.logs.merge import History, Log
from processor.replay.outputs.forms import container_block, container_header
from schemas.codec import frame_codec

BASE_NS = 1_767_225_600_000_000_000
PROCESSES = ("1", "2", "4")


def exported(client_id: str, at: int) -> bytes:
    return to_line(frame(f'[2,"{at}","Heartbeat",{{}}]', at=at, client_id=client_id))


def reordered(line: bytes) -> bytes:
    return json.dumps(dict(reversed(json.loads(line).items()))).encode()


TIMES = st.sampled_from([5, BASE_NS, BASE_NS + 1, BASE_NS + 2, BASE_NS + 70, (1 << 63) - 1])
LINES = st.builds(exported, st.sampled_from(["A", "B", 'quo"te', "back\\slash", "ü"]), TIMES)
SPACED = exported("A", BASE_NS).replace(b"%d" % BASE_NS, b" %d" % (BASE_NS + 70))
GARBAGE = st.sampled_from(
    [
        *(b"", b"  ", b"nothing", b"{}", b'{"clientId":"A"', b'{"clientId":"A","receivedAtNs":'),
        *(b'{"clientId":"A","receivedAtNs":%s,' % time for time in (b"1" * 19, b"1" + b"x" * 18)),
        *(b'{"clientId":"A","receivedAtNs":%s,' % time for time in (b"9" * 19, b"9" * 5_000)),
        # Numbers that JSON allows, but `to_line` does not write; and what is wrong further on.
        SPACED,
        exported("B", BASE_NS).replace(b"%d" % BASE_NS, b"-%d" % (10**18 - 7)),
        exported("A", BASE_NS).replace(b"inbound", b"sideways"),
    ]
)
FILES = st.lists(st.lists(LINES | LINES.map(reordered) | GARBAGE, max_size=12), max_size=3)


def told(entry: Entry) -> tuple[object, ...]:
    content: object = entry.content
    try:
        if isinstance(content, bytes | Rejected):
            content = JsonLinesReader().frame(entry, Correlation())
    except Rejected as rejected:
        content = str(rejected), rejected.line or entry.content
    return entry.log, entry.line, entry.client_id, content


def one_by_one(history: History) -> Iterator[Entry]:
    for piece in history.skimmed():
        if isinstance(piece, Stretch):
            assert piece.end - piece.first == len(piece.client_ids)
            for line, (client_id, text) in enumerate(
                zip(piece.client_ids, piece.lines, strict=True), piece.first
            ):
                yield Entry(piece.log, line, client_id, None, text)
        else:
            yield piece


@example(
    files=[[exported("A", BASE_NS), SPACED], [exported("B", BASE_NS + 2)]],
    end=b"\n",
    stretch_bytes=500,
)
@given(
    files=FILES, end=st.sampled_from([b"", b"\n"]), stretch_bytes=st.sampled_from([1, 500, 1 << 18])
)
def test_skimmed_files_give_what_read_ones_give(
    files: list[list[bytes]], end: bytes, stretch_bytes: int
) -> None:
    with (
        TemporaryDirectory() as folder,
        patch("processor.replay.logs.export_lines.STRETCH_BYTES", stretch_bytes),
    ):
        logs = []
        for number, lines in enumerate(files):
            path = Path(folder, str(number))
            path.write_bytes(b"\n".join(lines) + end)
            logs.append(Log(str(path), JsonLinesReader()))
        read, skimmed = History(logs), History(logs)
        assert [told(entry) for entry in one_by_one(skimmed)] == [told(entry) for entry in read]
        assert skimmed.bytes_read == read.bytes_read


def test_most_lines_of_an_export_come_in_stretches(tmp_path: Path) -> None:
    frames = fleet(20, 3_000)
    parts = [frames[:1_000], frames[2_000:], frames[1_000:2_000]]
    logs = [
        Log(str(write_export(tmp_path / str(number), part)), JsonLinesReader())
        for number, part in enumerate(parts)
    ]
    single = [p for p in History(logs).skimmed() if isinstance(p, Entry)]
    # The first line of each charge point in each file, and where files meet.
    assert len(single) <= 3 * 20 + 6


def test_an_entry_is_the_same_on_the_other_side_of_a_pipe() -> None:
    message = LogMessage("inbound", b"\xff[2]", "ocpp1.6")
    made = frame(b"\xff", client_id="A", at=BASE_NS, kind="INVALID")
    contents: tuple[Content, ...] = (message, made, b"text", b"", *Other)
    for order, content in enumerate(contents):
        entry = Entry(1, 7, "A", BASE_NS, content)
        assert list(entries_of(Part([], [dealt(order, entry)[0]]), 0)) == [(order, entry)]
    rejected = Rejected("no time", "none", b"line")
    one, size = dealt(9, Entry(1, 7, None, None, rejected))
    assert isinstance(one, Dealt)
    assert size == len(b"line")
    ((order, entry),) = entries_of(Part([], [one]), 0)
    assert (order, entry.client_id, told(entry)[-1]) == (9, None, ("no time: none", b"line"))
    both = Part([(2, 5, "B", b"x"), (4, 7, "B", b"y")], [dealt(3, Entry(1, 6, "B", 1, b"z"))[0]])
    assert [(n, entry.line) for n, entry in entries_of(both, 1)] == [(2, 5), (3, 6), (4, 7)]


@pytest.fixture(scope="module")
def mixed_logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Exports that overlap, out of order, compressed, broken, and with garbage in them."""
    folder = tmp_path_factory.mktemp("logs")
    frames = fleet(30, 4_000)
    lines = [to_line(one) for one in frames]
    lines[500:500] = [b"", b"nothing", b'{"clientId":"CP000001","receivedAtNs":soon,', b"{}"]
    lines[900] = reordered(lines[900])
    (folder / "later").write_bytes(gzip.compress(b"\n".join(lines[2_000:3_500])))
    (folder / "first.jsonl").write_bytes(b"\n".join(lines[:2_100]) + b"\n")
    # Written by another program, so that the lines are the same but their text is not.
    (folder / "again").write_bytes(b"\n".join(map(reordered, lines[2_050:2_300])))
    (folder / "cut").write_bytes(zstandard.compress(b"\n".join(lines[3_500:]))[:-9])
    codec = frame_codec()
    records = [codec.encode(one)[10:] for one in frames[1_000:1_200]]
    schema = codec.schema_text
    (folder / "avro").write_bytes(container_header(schema) + container_block(schema, records))
    return [folder / name for name in ("later", "first.jsonl", "again", "cut", "avro")]


class Outcome(NamedTuple):
    """What a run came to."""

    code: int
    counts: dict[str, Any]
    events: bytes
    rejects: bytes


def outcomes(logs: Sequence[Path], folder: Path, *options: str) -> list[Outcome]:
    """With each number of processes."""
    found = []
    for processes in PROCESSES:
        out, rejects = folder / f"{processes}.jsonl", folder / f"{processes}.rejects"
        where: tuple[str | Path, ...] = ("--out", out, "--rejects", rejects)
        done = replay(*logs, *options, *where, "--processes", processes, "--json", cwd=folder)
        counts = json.loads(done.stdout)
        assert (counts.pop("rejectFile", None) is not None) == rejects.exists()
        for name in ("seconds", "framesPerSecond", "processes"):
            del counts[name]
        listed = rejects.read_bytes() if rejects.exists() else b""
        found.append(Outcome(done.returncode, counts, out.read_bytes(), listed))
    return found


def test_any_number_of_processes_makes_the_same_of_mixed_exports(
    tmp_path: Path, mixed_logs: list[Path]
) -> None:
    one, *others = outcomes(mixed_logs, tmp_path)
    assert others == [one, one]
    assert one.code == 4
    assert one.counts["rejected"] == {"no exported frame": 3, "file broken off": 1}
    assert one.counts["repeatedLines"] == 200 + 100 + 250
    assert one.events
    assert one.rejects.count(b"\n") == 4
    assert b"first.jsonl:502: no exported frame: " in one.rejects


def test_any_number_of_processes_makes_the_same_of_another_systems_log(tmp_path: Path) -> None:
    log = tmp_path / "depot.log"
    lines = (ROOT / "examples" / "depot.log").read_bytes().splitlines(keepends=True)
    lines[100:100] = [b"2026-11-02 00:00:01 CP: receive message [2,\n", b"\n", lines[99][:-9]]
    log.write_bytes(b"".join(lines))
    one, *others = outcomes([log], tmp_path, "--zone", "Europe/Berlin")
    assert others == [one, one]
    assert one.events


def test_a_process_that_is_killed_ends_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    export = write_export(tmp_path / "frames.jsonl", fleet(50, 24_000))
    whole, cut = tmp_path / "whole.avro", tmp_path / "cut.avro"
    assert replay(export, "--out", whole, cwd=tmp_path).returncode == 0
    arguments = (export, "--out", cut, "--processes", "2")
    with subprocess.Popen(  # noqa: S603 - our own interpreter
        command(*arguments),
        cwd=tmp_path,
        env=environment({"REPLAY_CHECKPOINT_SECONDS": "0.05"}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.kill(_worker_of(process.pid), signal.SIGKILL)
        _, said = process.communicate(timeout=90)
    assert process.returncode == 3, said
    assert "ended with exit code -9 before its work was done" in said
    assert not cut.exists()
    done = replay(*arguments, "--resume", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert cut.read_bytes() == whole.read_bytes()


def _worker_of(pid: int) -> int:
    """A process that the run has started."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in psutil.Process(pid).children():
            if "spawn_main" in " ".join(child.cmdline()):
                return child.pid
        time.sleep(0.002)
    raise AssertionError("the run started no process")
