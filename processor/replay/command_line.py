"""The command line: what may be written, and what is meant by it."""

import argparse
from pathlib import Path
from typing import Final

import msgspec

from processor.replay.errors import UsageError
from processor.replay.exporting import FRAME_FORMS
from processor.replay.logs.recognise import AUTO, FORMATS
from processor.replay.outputs.forms import EVENT_FORMS
from processor.replay.selection import Selection
from processor.replay.settings import ReplaySettings
from runtime.settings import variables
from schemas import timestamps
from schemas.errors import TimestampError

PROG: Final = "chargelog-replay"
EXIT_CODES: Final = """\
exit codes:
  0    done
  1    done, and --diff found differences
  2    wrong options or settings
  3    failed: Kafka, a file or a topic was not as it must be
  4    done, but some lines or records were rejected (see the reject file)
  130  stopped by Ctrl-C or SIGTERM; a run with an output can be resumed
"""
_COMMANDS: Final = ("run", "export", "import")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was written on the command line; see the parsers for what each means."""

    command: str
    logs: tuple[str, ...] = ()
    form: str = AUTO
    zone: str | None = None
    topic: str | None = None
    as_of: int | None = None
    out: str | None = None
    selection: Selection
    tariff: Path | None = None
    against: str | None = None
    differences: Path | None = None
    processes: int = 0
    checkpoint: Path | None = None
    resume: bool = False
    overwrite: bool = False
    rejects: Path | None = None
    json: bool = False


def parse(argv: list[str]) -> Options:
    """The options; `--help` and wrong ones end the program.

    Raises:
        UsageError: A value can't be read.
    """
    wanted = argv if argv and argv[0] in {*_COMMANDS, "-h", "--help"} else ["run", *argv]
    found = vars(_parser().parse_args(wanted))
    selection = Selection(
        since=_micros(found.pop("since"), "--since"),
        until=_micros(found.pop("until"), "--until"),
        charge_points=tuple(found.pop("charge_point") or ()),
    )
    if (
        selection.since is not None
        and selection.until is not None
        and (selection.since >= selection.until)
    ):
        raise UsageError("--until must be later than --since")
    found["as_of"] = _micros(found.get("as_of"), "--as-of")
    found["logs"] = tuple(found.get("logs", ()))
    return Options(selection=selection, **found)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROG,
        description="Regenerate business events from the frames topic or from log files, and say "
        "what would change. Without a command: run.",
        epilog=f"{EXIT_CODES}\n{variables(ReplaySettings)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text, add in (
        ("run", "regenerate events (the default)", _run),
        ("export", "write the frames topic to a file", _export),
        ("import", "append log files to a frames topic", _import),
    ):
        add(
            commands.add_parser(
                name,
                help=text,
                description=text,
                epilog=EXIT_CODES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        )
    return parser


def _run(parser: argparse.ArgumentParser) -> None:
    _add_logs(parser, "*", "log files; without any, the frames topic is read")
    _add_topic(parser)
    parser.add_argument(
        "--out",
        metavar="OUT",
        help=f"where events go: a file ({', '.join(EVENT_FORMS)}) or topic:<name>; without it they "
        "are only counted",
    )
    _add_selection(parser)
    parser.add_argument(
        "--tariff", type=Path, metavar="FILE", help="tariffs, in place of TARIFF_FILE"
    )
    parser.add_argument(
        "--diff",
        dest="against",
        metavar="AGAINST",
        help="compare with these events: a file, or topic:<name>",
    )
    parser.add_argument(
        "--differences", type=Path, metavar="FILE", help="list each difference as a line of JSON"
    )
    parser.add_argument(
        "--processes", type=_count, default=0, metavar="N", help="how many; default: what pays"
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FOLDER", help="working folder (<OUT>.replay)"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a stopped run")
    parser.add_argument("--overwrite", action="store_true", help="replace the output file")
    _add_results(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", help=f"the file: {', '.join(FRAME_FORMS)}")
    _add_topic(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the file")
    _add_selection(parser)
    _add_results(parser)


def _import(parser: argparse.ArgumentParser) -> None:
    _add_logs(parser, "+", "log files")
    _add_selection(parser)
    _add_results(parser)


def _add_logs(parser: argparse.ArgumentParser, number: str, text: str) -> None:
    parser.add_argument("logs", nargs=number, metavar="LOG", help=text)
    parser.add_argument(
        "--format",
        dest="form",
        default=AUTO,
        metavar="FORMAT",
        help=f"{', '.join(FORMATS)}, or a profile (<file>.toml)",
    )
    parser.add_argument(
        "--zone", metavar="ZONE", help="zone of times that name none: Europe/Berlin"
    )


def _add_topic(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topic", metavar="NAME", help="the frames topic (TOPIC_PREFIX + ocpp.frames)"
    )
    parser.add_argument(
        "--as-of", metavar="TIME", help="read the topic as it was then: what Kafka took before"
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--since", metavar="TIME", help="first receive time: 2026-01-01T00:00:00Z")
    parser.add_argument("--until", metavar="TIME", help="receive time that is too late")
    parser.add_argument(
        "--charge-point",
        action="append",
        metavar="PATTERN",
        help="only these identities, e.g. 'depot-*'; may be repeated",
    )


def _add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rejects", type=Path, metavar="FILE", help="list what was rejected here")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:  # noqa: PLR2004 - more is a mistake
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _micros(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        micros, has_zone = timestamps.parse(text)
    except TimestampError as error:
        raise UsageError(f"{option}: {error}") from error
    if not has_zone:
        raise UsageError(f"{option} {text} names no zone; end it in Z or +02:00")
    return micros
