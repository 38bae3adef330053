"""A worker restores a table of a million rows; and one takes over from one that was killed.

Recovery is timed from the assignment of the partitions to the worker being ready, against Faust's
own of the same changelog. Memory is the process's, once it is done. A take-over lasts from the
SIGKILL until the frames that came after it are committed; the group's session timeout, 6 seconds,
is the least it can be.
"""

import re
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from confluent_kafka import Producer

from bench.backlog import Backlog
from bench.comparison import interleaved, report
from bench.race import (
    ContenderError,
    Program,
    Progress,
    Run,
    Track,
    new_topics,
    python,
    running,
    track,
    wait_for_members,
)
from bench.size import Size
from devstack.process import free_port
from processor.state import ConnectorRow, Start, Transaction, encode_row, row_key
from schemas.topics import TopicNames

_PARTITIONS: Final = 4
_SESSION_TIMEOUT_S: Final = 6.0
_PATIENCE_S: Final = 600.0
_POLL_S: Final = 0.1
_RECOVERED: Final = re.compile(r"^RECOVERED (\S+) (\d+)$", re.MULTILINE)


class Table(NamedTuple):
    """What is restored."""

    place: Track
    names: TopicNames
    rows: int


class Recovered(NamedTuple):
    """What a contender said."""

    seconds: float
    rows: int


def run(size: Size) -> None:
    """Seconds and memory of recovery, seconds of a take-over."""
    memory: dict[str, list[float]] = {"chargelog": [], "faust": []}
    with track(_PARTITIONS) as place:
        table = Table(place, new_topics(place), size.of(1_000_000, 2_000))
        _append_rows(table)
        seconds = interleaved(
            {
                "chargelog": partial(_chargelog, table, memory["chargelog"]),
                "faust": partial(_faust, table, memory["faust"]),
            },
            size.rounds,
        )
        report("recovery", "s", seconds, "chargelog")
        report("recovery.memory", "MB", {n: median(m) for n, m in memory.items()}, "chargelog")
        if size.name != "full":
            return
        take_overs = interleaved(
            {
                "chargelog": partial(_take_over, place),
                "session-timeout": lambda: _SESSION_TIMEOUT_S,
            },
            size.rounds,
        )
        report("recovery.take-over", "s", take_overs, "chargelog")


def _append_rows(table: Table) -> None:
    place, names, rows = table
    producer = Producer(
        {
            "bootstrap.servers": place.servers,
            "compression.type": "lz4",
            "linger.ms": 20,
            "queue.buffering.max.messages": 0,
        }
    )
    for number in range(rows):
        start = Start(connector_id=1, received_at=number, id_tag=f"TAG{number}", meter_start=number)
        row = ConnectorRow(
            status="Charging",
            error_code="NoError",
            transaction=Transaction(ids=(number,), start=start, register=number + 1000),
            reading_time=1_767_225_600_000_000 + number,
            current_power=11.0,
            total_energy=number / 1000,
        )
        producer.produce(
            names.connectors_changelog,
            encode_row(row),
            row_key(f"CP{number:07}", 1).encode(),
            partition=number % place.partitions,
        )
        producer.poll(0)
    assert producer.flush(60) == 0


def _chargelog(table: Table, memory: list[float]) -> float:
    port = free_port()
    program = Program(python("processor"), {"PROCESSOR_WEB_PORT": str(port)})

    def said(_: Run) -> Recovered | None:
        text = _page(port)
        held = re.findall(r"^chargelog_processor_rows\{.*\} (\S+)$", text, re.MULTILINE)
        took = re.search(r"^chargelog_processor_recovery_seconds (\S+)$", text, re.MULTILINE)
        if took is None or len(held) < table.place.partitions:
            return None
        return Recovered(float(took[1]), int(sum(map(float, held))))

    return _recovered(program, table, memory, said)


def _faust(table: Table, memory: list[float]) -> float:
    program = Program(
        python("bench.contenders.faust_recovery", "worker", "--without-web", "-l", "warn")
    )

    def said(run: Run) -> Recovered | None:
        found = _RECOVERED.search(run.log.read_text(encoding="utf-8", errors="replace"))
        return None if found is None else Recovered(float(found[1]), int(found[2]))

    return _recovered(program, table, memory, said)


def _recovered(
    program: Program,
    table: Table,
    memory: list[float],
    said: Callable[[Run], Recovered | None],
) -> float:
    with running(program, table.names, table.place) as run:
        end = time.perf_counter() + _PATIENCE_S
        while (recovered := said(run)) is None:
            run.check()
            if time.perf_counter() > end:
                raise ContenderError("did not recover", run)
            time.sleep(_POLL_S)
        if recovered.rows != table.rows:
            raise ContenderError(f"restored {recovered.rows} rows of {table.rows}", run)
        memory.append(_resident_mb(run.processes[0].pid))
    return recovered.seconds


def _take_over(place: Track) -> float:
    names = new_topics(place)
    backlog = Backlog.of_new_fleet(100, 2000)
    progress = Progress(place, names)
    program = Program(python("processor"), workers=2)
    with running(program, names, place) as run:
        wait_for_members(program.workers, place, names, run)
        backlog.append(place.servers, names)
        progress.wait_for(backlog.frames, run)
        killed = run.processes.pop(0)
        killed.kill()
        begin = time.perf_counter()
        killed.wait()
        backlog.append(place.servers, names)
        progress.wait_for(2 * backlog.frames, run)
        seconds = time.perf_counter() - begin
    progress.close()
    return seconds


def _page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            text: str = page.read().decode()
            return text
    except OSError:
        return ""  # not listening yet


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1000
