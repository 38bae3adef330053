"""Logs of other systems → frames: real shapes, and the rules for what they leave out."""

import bz2
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from frames16 import frame
from hypothesis import given
from hypothesis import strategies as st
from replay_kit import write_export

from ingress.protocol.versions import VERSIONS
from processor.replay.errors import Rejected, UsageError
from processor.replay.logs.correlation import FROM_CHARGE_POINT, FROM_EITHER, Correlation
from processor.replay.logs.entries import Entry, LogReader, Other, Source
from processor.replay.logs.export_lines import from_line, to_line
from processor.replay.logs.merge import History, Log
from processor.replay.logs.profile import load_profile, reader_of
from processor.replay.logs.recognise import reader_for
from processor.replay.logs.text_lines import OCPP_LIBRARY, STEVE, TextReader
from processor.replay.logs.times import Clock, zone_named
from schemas.frames import OcppFrame

BOOT = '[2,"5c9d","BootNotification",{"chargePointModel":"C","chargePointVendor":"V"}]'
ANSWER = '[3,"5c9d",{"status":"Accepted","currentTime":"2024-02-26T09:10:45Z","interval":60}]'
UTC = zone_named("UTC")
Compress = Callable[[bytes], bytes]
COMPRESSIONS: tuple[Compress, ...] = (gzip.compress, zstandard.ZstdCompressor().compress)
STEVE_TIME = 1_708_938_645_446_000_000


def entries(reader: LogReader, text: str | bytes, path: str = "a.log") -> list[Entry]:
    data = text.encode() if isinstance(text, str) else text
    return list(reader.entries(io.BytesIO(data), Source(0, path)))


def frames(reader: LogReader, text: str | bytes, path: str = "a.log") -> list[OcppFrame]:
    correlation = Correlation()
    return [
        reader.frame(entry, correlation)
        for entry in entries(reader, text, path)
        if entry.client_id is not None
    ]


def test_steves_log_lines_in_their_three_shapes() -> None:
    logger = "de.rwth.idsg.steve.ocpp.ws.WebSocketLogger"
    # libocpp#495 (without thread), steve's current pattern, steve#2058 (with tabs)
    text = f"""\
[INFO ] 2024-02-26 09:10:45,446 {logger} - [chargeBoxId=left, sessionId=58-9] Received: {BOOT}
[INFO ] 2024-02-26 09:10:45,448 de.rwth.idsg.steve.service.Service16 (qtp1-7) - The boot is known.
[INFO ] 2024-02-26 09:10:45,454 {logger} (q-5) - [chargeBoxId=left, sessionId=58] Sending: {ANSWER}
[INFO\t]\t2026-06-17\t05:46:41,763\t{logger}\t(qtp1311135309-5945)\t-\t\
[chargeBoxId=TG 2,\tsessionId=d7]\tReceived:\t[2,"1","Heartbeat",{{}}]
[WARN ] 2026-06-17 05:46:42,763 {logger} - [chargeBoxId=left, sessionId=58] Connection is closed
"""
    reader = TextReader(STEVE, UTC)
    boot, answer, heartbeat = frames(reader, text)
    assert (boot.client_id, boot.direction, boot.kind) == ("left", "inbound", "CALL")
    assert (boot.received_at_ns, boot.raw.decode()) == (STEVE_TIME, BOOT)
    assert (answer.direction, answer.action) == ("outbound", "BootNotification")
    assert answer.message_id == "5c9d"
    assert (heartbeat.client_id, heartbeat.action) == ("TG 2", "Heartbeat")
    assert [e.content for e in entries(reader, text) if e.client_id is None] == [Other.NO_FRAME] * 2


def test_the_ocpp_librarys_log_lines_under_several_formatters() -> None:
    receive, send = f"CP-1: receive message {BOOT}", f"CP-1: send {ANSWER}"
    for prefix in (
        "2024-02-26 09:10:45,446 INFO (MainThread) [ocpp] ",  # Home Assistant
        "homeassistant  | 2024-02-26 09:10:45.446 INFO (MainThread) [ocpp] ",  # its container
        "2024-02-26T09:10:45.446Z ",
        "2024-02-26 09:10:45,446 - ocpp - INFO - ",
        "2024-02-26 09:10:45.446+00:00|INFO|ocpp|",
        "[2024-02-26 09:10:45,446] INFO:ocpp:",
    ):
        text = f"{prefix}{receive}\n{prefix}{send}\n{prefix}listening on [::]\n"
        got, sent = frames(TextReader(OCPP_LIBRARY, UTC), text)
        assert (got.client_id, got.direction, got.received_at_ns) == (
            "CP-1",
            "inbound",
            STEVE_TIME,
        ), prefix
        assert (sent.direction, sent.action) == ("outbound", "BootNotification")
        assert sent.received_at_ns == got.received_at_ns + 1  # written in the same millisecond
    newer = f"2024-02-26 09:10:45,446 CP-1: send message {BOOT.replace('Boot', 'Trigger')}"
    assert frames(TextReader(OCPP_LIBRARY, UTC), newer)[0].direction == "outbound"


def test_a_line_without_a_time_is_rejected_with_its_text() -> None:
    (entry,) = entries(TextReader(OCPP_LIBRARY, UTC), f"INFO:ocpp:CP-1: receive message {BOOT}")
    assert isinstance(entry.content, Rejected)
    assert entry.content.reason == "no time"
    assert entry.content.line.endswith(BOOT.encode())


def test_a_message_over_several_lines_is_put_together() -> None:
    # lbbrhzn/ocpp#2: a Wallbox Pulsar sends indented JSON, and the library logs it as it is.
    head = "2021-03-17 20:23:00 INFO (MainThread) [ocpp] WallboxPulsar: "
    text = (
        f'{head}send [2,"d6","TriggerMessage",{{"requestedMessage":"BootNotification"}}]\n'
        f'{head}receive message [3,"d6",\n{{\n"status": "Accepted"\n}}]\n'
        f'{head}receive message [3,"d7",\n{{\n"status": "Acc\n'
        f'{head}send [2,"d8","TriggerMessage",{{"requestedMessage":"Heartbeat"}}]\n'
    )
    reader = TextReader(OCPP_LIBRARY, UTC)
    found = entries(reader, text)
    assert [entry.line for entry in found] == [1, 2, 6, 7, 8, 9]
    correlation = Correlation()
    reader.frame(found[0], correlation)
    answer = reader.frame(found[1], correlation)
    assert json.loads(answer.raw) == [3, "d6", {"status": "Accepted"}]
    assert (answer.direction, answer.action) == ("inbound", "TriggerMessage")
    with pytest.raises(Rejected, match="no OCPP-J message"):
        reader.frame(found[2], correlation)


def test_a_line_that_ought_to_hold_a_message_is_rejected_not_overlooked() -> None:
    text = "[INFO ] 09:10:45 WebSocketLogger - [chargeBoxId=left, sessionId=5] Received: [2]"
    (entry,) = entries(TextReader(STEVE, UTC), text)
    assert isinstance(entry.content, Rejected)
    assert entry.content.reason == "line not understood"


def test_every_action_that_a_charge_point_may_send_has_a_direction() -> None:
    for version in VERSIONS.values():
        assert {*version.from_charge_point, *version.sends} <= FROM_CHARGE_POINT | FROM_EITHER
        assert {*version.from_central_system} & FROM_CHARGE_POINT == set()


def test_directions_follow_from_actions_and_calls() -> None:
    correlation = Correlation()

    def direction(raw: str, given: str | None = None) -> tuple[str, str | None]:
        made = correlation.frame("CP", 5, given, raw.encode(), "ocpp1.6")  # type: ignore[arg-type]
        return made.direction, made.action

    assert direction('[2,"a","Heartbeat",{}]') == ("inbound", "Heartbeat")
    assert direction('[3,"a",{}]') == ("outbound", "Heartbeat")
    assert direction('[2,"b","Reset",{"type":"Soft"}]') == ("outbound", "Reset")
    assert direction('[4,"b","InternalError","",{}]') == ("inbound", "Reset")
    # Both sides count their ids from 1: the answer to the other side's call is not this call's.
    assert direction('[3,"b",{}]', "outbound") == ("outbound", None)
    with pytest.raises(Rejected, match=r"direction unknown: .*'c'"):
        direction('[3,"c",{}]')
    with pytest.raises(Rejected, match="either side may send DataTransfer"):
        direction('[2,"d","DataTransfer",{"vendorId":"v"}]')
    # What is remembered outlasts a checkpoint.
    kept = Correlation(correlation.stored())
    assert kept.frame("CP", 9, None, b'[3,"a",{}]', "ocpp1.6").action == "Heartbeat"


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2024-02-26T09:10:45Z", None, "2024-02-26T09:10:45"),
        ("2024-02-26 09:10:45,446", "Europe/Berlin", "2024-02-26T08:10:45.446"),
        ("2024-07-26 09:10:45", "Europe/Berlin", "2024-07-26T07:10:45"),
        ("2024-02-26 09:10:45", "+05:30", "2024-02-26T03:40:45"),
        ("2024-02-26 09:10:45+01:00", "-08:00", "2024-02-26T08:10:45"),
    ],
)
def test_times_and_zones(text: str, zone: str | None, utc: str) -> None:
    clock = Clock("iso", None if zone is None else zone_named(zone))
    assert clock.ns(text) == Clock("iso", None).ns(f"{utc}Z")


def test_the_hour_that_comes_twice_is_told_apart_by_order() -> None:
    clock = Clock("iso", zone_named("Europe/Berlin"))
    walls = ["02:59:00", "02:01:00", "02:59:00", "03:01:00"]
    found = [clock.ns(f"2024-10-27 {wall}") for wall in walls]
    expected = ["00:59", "01:01", "01:59", "02:01"]
    assert found == [Clock("iso", None).ns(f"2024-10-27T{utc}:00Z") for utc in expected]


def test_other_forms_of_time() -> None:
    at = 1_708_938_645
    for form, text in (
        ("unix", "1708938645"),
        ("unix", "1708938645.000"),
        ("unix-ms", "1708938645000"),
        ("unix-us", "1708938645000000"),
        ("unix-ns", "1708938645000000000"),
        ("%d/%b/%Y %H:%M:%S", "26/Feb/2024 09:10:45"),
        ("%d/%b/%Y %H:%M:%S %z", "26/Feb/2024 10:10:45 +0100"),
    ):
        assert Clock(form, UTC).ns(text) == at * 10**9, form
    assert Clock("unix", None).ns("1.5") == 1_500_000_000
    for form, text in (
        *(("unix", "-3"), ("unix", "1e9"), ("iso", "today"), ("%H", "noon")),
        *(("unix", ".5"), ("unix", "1.²"), ("unix", "9" * 19), ("unix", "9" * 5_000)),
        *(("iso", "0001-01-01T00:00:00Z"), ("iso", "9999-12-31T23:59:59Z")),
    ):
        with pytest.raises(Rejected, match="time unreadable"):
            Clock(form, UTC).ns(text)


def test_a_time_without_zone_ends_the_run_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="--zone Europe/Berlin"):
        Clock("iso", None).ns("2024-02-26 09:10:45")
    with pytest.raises(UsageError, match="there is no time zone 'Mars/Olympus'"):
        zone_named("Mars/Olympus")


def test_a_profile_of_lines(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(
        "pattern = '(?P<time>\\S+) (?P<charge_point>\\S+) (?P<direction>RX|TX) (?P<message>.*)'\n"
        "ignore = '#'\ninbound = ['RX']\noutbound = ['TX']\nzone = '+01:00'\n"
    )
    reader = reader_of(load_profile(path), UTC)
    text = f"# begin\n2024-02-26T10:10:45.446 CP RX {BOOT}\n2024-02-26T10:10:46 CP TX {ANSWER}\n?\n"
    first, second = frames(reader, text)
    assert (first.received_at_ns, first.direction) == (STEVE_TIME, "inbound")
    assert (second.direction, second.action) == ("outbound", "BootNotification")
    ignored, *_, refused = entries(reader, text)
    assert ignored.content is Other.NO_FRAME
    assert isinstance(refused.content, Rejected)


def test_a_profile_of_columns(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(
        "delimiter = ';'\ntime = 'unix-ms'\ncharge_point_in_path = 'logs/(?P<charge_point>.+)[.]'\n"
        "[columns]\ntime = 'created'\nmessage = 'payload'\n"
    )
    reader = reader_of(load_profile(path), None)
    quoted = BOOT.replace('"', '""')
    text = f'id;created;payload\n1;1708938645446;"{quoted}"\n\n2;1708938645500;"{ANSWER[:6]}\n'
    (found,) = frames(reader, text.rpartition("2;")[0], "logs/CP 7.csv")
    assert (found.client_id, found.direction, found.raw.decode()) == ("CP 7", "inbound", BOOT)
    assert [entry.line for entry in entries(reader, text, "logs/x.csv")] == [2, 4]
    missing = "a;b\n1;2\n"
    with pytest.raises(UsageError, match=r"no column '(created|payload)'"):
        entries(reader, missing, "logs/x.csv")
    rows = entries(reader, "id;created;payload\n1;never;x\n7\n", "logs/x.csv")
    reasons = [row.content.reason for row in rows if isinstance(row.content, Rejected)]
    assert reasons == ["time unreadable", "line not understood"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "give either pattern or"),
        ("pattern = '('", "unterminated subpattern"),
        ("pattern = '(?P<message>.)(?P<when>.)'", "group 'when'"),
        ("pattern = '(?P<time>.)'", "no group"),
        ("pattern = '(?P<message>.)'", "nothing tells the time"),
        ("pattern = '(?P<message>.)(?P<time>.)'", "nothing names the charge point"),
        ("patern = '.'", "patern"),
        ("zone = 3", "zone"),
        ("[columns]\nmessage = 0\ntime = 1", "counted from 1"),
        (
            "charge_point = 'A'\npattern = '(?P<message>.)(?P<time>.)(?P<direction>.)'",
            "inbound and outbound",
        ),
    ],
)
def test_a_wrong_profile_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"profile\.toml can't be used") as refused:
        load_profile(path)
    assert said in str(refused.value)


def test_formats_and_compressions_are_recognised_by_content(tmp_path: Path) -> None:
    export = write_export(tmp_path / "a", [frame(BOOT, action="BootNotification")])
    data = export.read_bytes()
    others: tuple[Compress, ...] = (bytes, bz2.compress, lzma.compress)
    for number, compress in enumerate((*others, *COMPRESSIONS)):
        path = tmp_path / f"{number}"
        path.write_bytes(compress(data) + compress(data))
        reader = reader_for(str(path), "auto", None)
        assert len(list(History([Log(str(path), reader)]))) == 2
    (tmp_path / "c").write_text("what is this?\n")
    with pytest.raises(UsageError, match="no log whose form is known"):
        reader_for(str(tmp_path / "c"), "auto", None)
    with pytest.raises(UsageError, match="no log format 'stev'"):
        reader_for(str(export), "stev", None)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("2024".encode("utf-16"), "UTF-16; convert it first"),
        ("2024".encode("utf-16-be").join([b"\xfe\xff", b""]), "UTF-16; convert it first"),
        (b"PK\x03\x04\n", "a ZIP archive; unpack it first"),
    ],
)
def test_a_file_that_has_to_be_converted_first_says_how(
    tmp_path: Path, data: bytes, said: str
) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UsageError, match=said):
        reader_for(str(tmp_path / "a"), "auto", None)


def test_a_byte_order_mark_is_no_part_of_the_log(tmp_path: Path) -> None:
    made = [frame(BOOT, action="BootNotification")]
    export = write_export(tmp_path / "a", made)
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes())
    log = Log(str(export), reader_for(str(export), "auto", None))
    assert [entry.content for entry in History([log])] == made
    (tmp_path / "p.toml").write_text("charge_point = 'A'\n[columns]\ntime = 't'\nmessage = 'm'")
    reader = reader_of(load_profile(tmp_path / "p.toml"), UTC)
    ((entry),) = entries(reader, "\ufefft,m\n2024-02-26T09:10:45Z,[]\n")
    assert entry.at_ns == 1_708_938_645_000_000_000


@pytest.mark.parametrize(
    ("compress", "readable"),
    [
        (gzip.compress, lambda data: zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data)),
        (
            zstandard.compress,
            lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        ),
        (bz2.compress, lambda data: bz2.BZ2Decompressor().decompress(data)),
        (lzma.compress, lambda data: lzma.LZMADecompressor().decompress(data)),
    ],
    ids=["gzip", "zstd", "bzip2", "xz"],
)
def test_of_a_compressed_file_that_breaks_off_each_whole_line_is_read(
    tmp_path: Path, compress: Compress, readable: Compress
) -> None:
    lines = [frame(BOOT, action="BootNotification", at=at * 7919) for at in range(1, 20_000)]
    whole = compress(write_export(tmp_path / "a", lines).read_bytes())
    path = tmp_path / "b"
    log = Log(str(path), reader_for(str(tmp_path / "a"), "jsonl", None))
    for cut in (20, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:-cut])
        expected = readable(whole[:-cut]).count(b"\n")
        *read, last = History([log])
        assert [entry.line for entry in read] == list(range(1, expected + 1))
        assert isinstance(last.content, Rejected)
        assert (last.content.reason, last.line) == ("file broken off", expected + 1)


def test_the_zstd_library_still_takes_a_cut_file_for_a_whole_one() -> None:
    # If this fails, `_Zstd` of processor/replay/logs/files.py can go.
    cut = zstandard.ZstdCompressor().compress(b"0123456789" * 9999)[:-4]
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(cut), read_across_frames=True)
    reader.read()


def test_files_are_put_into_each_other_by_time_and_kept_in_their_order(tmp_path: Path) -> None:
    def log(name: str, *times: int) -> Log:
        made = [frame(f'[2,"{t}","Heartbeat",{{}}]', at=t, client_id=name) for t in times]
        path = str(write_export(tmp_path / name, made))
        return Log(path, reader_for(path, "jsonl", None))

    logs = [log("b", 30, 20, 50), log("a", 10, 40), log("c", 60, 70)]
    found = [(entry.client_id, entry.at_ns) for entry in History(logs)]
    expected = [("a", 10), ("b", 30), ("b", 20), ("a", 40), ("b", 50), ("c", 60), ("c", 70)]
    assert found == expected
    assert [(e.client_id, e.at_ns) for e in History(logs[::-1])] == expected


def test_what_overlapping_files_both_hold_counts_once(tmp_path: Path) -> None:
    def made(*times: int) -> list[OcppFrame]:
        return [frame(f'[2,"{t}","Heartbeat",{{}}]', at=t) for t in times]

    first = write_export(tmp_path / "a", made(1, 2, 3, 3, 4))
    second = write_export(tmp_path / "b", made(3, 3, 3, 4, 5))
    logs = [Log(str(path), reader_for(str(path), "jsonl", None)) for path in (first, second)]
    kept = [entry.at_ns for entry in History(logs) if entry.content is not Other.REPEATED]
    assert kept == [1, 2, 3, 3, 3, 4, 5]


@given(
    raw=st.binary(max_size=40),
    client_id=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    violation=st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_a_frame_survives_its_line(raw: bytes, client_id: str, violation: str | None) -> None:
    made = frame(raw, client_id=client_id, violation=violation, kind="INVALID")
    line = to_line(made)
    assert b"\n" not in line
    assert from_line(line) == made
    reader = reader_for(__file__, "jsonl", None)
    # As written, and with its names in another order, as other programs write it.
    document = json.loads(line)
    shuffled = json.dumps(dict(reversed(document.items()))).encode()
    assert frames(reader, line + b"\n" + shuffled + b"\n") == [made, made]
