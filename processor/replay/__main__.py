"""`python -m processor.replay`, `chargelog-replay`."""

import shlex
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console

from processor.replay import report
from processor.replay.against import TOPIC, Kafka
from processor.replay.cluster import topics_of
from processor.replay.command_line import PROG, Options, parse
from processor.replay.errors import UsageError, said_by
from processor.replay.exporting import FRAME_FORMS, Exported, export
from processor.replay.importing import Imported, Topic, import_logs
from processor.replay.job import FromKafka, Source, Target, ToFile, ToNowhere, ToTopic
from processor.replay.outputs.forms import suffix_of
from processor.replay.processes import stop_signals
from processor.replay.progress import counted, progress
from processor.replay.registry import registry_at
from processor.replay.run import Interrupted, Request, files, frames_topic, perform
from processor.replay.settings import ReplaySettings
from processor.replay.targets import check_new, check_place
from processor.tariff import Tariffs
from runtime.settings import EXIT_USAGE, from_environment
from schemas.codec import frame_codec
from schemas.errors import ChargelogError
from schemas.topic_admin import ensure_topics
from schemas.topics import TopicNames

_EXIT_DIFFERENT: Final = 1
_EXIT_FAILED: Final = 3
_EXIT_REJECTS: Final = 4
_EXIT_STOPPED: Final = 130


def main() -> int:
    """Do what the command line says; returns the exit code (see `--help`)."""
    argv = sys.argv[1:]
    out, err = Console(soft_wrap=True), Console(stderr=True)
    try:
        options = parse(argv)
        settings = from_environment(ReplaySettings, prog=PROG)
        with stop_signals() as stop:
            return _COMMANDS[options.command](options, settings, stop, out, err)
    except Interrupted as stopped:
        _say(_how_to_go_on(argv, stopped.folder))
        return _EXIT_STOPPED
    except KeyboardInterrupt:  # before there was anything to stop
        return _EXIT_STOPPED
    except ChargelogError as error:
        _say(str(error))
        # A wrong tariff or profile is a wrong option; what happens on the way is not.
        return EXIT_USAGE if isinstance(error, UsageError) else _EXIT_FAILED
    except OSError as error:  # a disk that is full, a folder that may not be written to
        _say(said_by(error))
        return _EXIT_FAILED
    except Exception:  # noqa: BLE001 - else Python's exit code, which here means differences
        traceback.print_exc()
        return _EXIT_FAILED


def _run(
    options: Options, settings: ReplaySettings, stop: threading.Event, out: Console, err: Console
) -> int:
    tariff_file = options.tariff or settings.tariff_file
    kafka = Kafka(settings.kafka, settings.schema_registry_url)
    if options.differences is not None and options.against is None:
        raise UsageError("--differences lists what --diff finds; say what to compare with")
    target, tariffs = _target(options, settings), _tariffs(tariff_file)
    request = Request(
        source=_source(options, settings),  # last, since it may wait for Kafka
        target=target,
        lanes=settings.partitions,
        selection=options.selection,
        tariffs=tariffs,
        processes=options.processes,
        folder=options.checkpoint,
        resume=options.resume,
        overwrite=options.overwrite,
        rejects=options.rejects,
        against=options.against,
        differences=options.differences,
        checkpoint_s=settings.replay_checkpoint_seconds,
    )
    with progress(request.source, err) as tell:
        outcome = perform(request, kafka, stop, tell)
    if options.json:
        _print_json(report.as_json(outcome))
    else:
        report.show(outcome, out)
        rate = outcome.tally.frames / max(outcome.seconds, 0.001)
        err.print(
            f"{outcome.seconds:.1f} s, {rate:,.0f} frames/s, processes: {outcome.processes}",
            highlight=False,
        )
    if outcome.tally.rejects:
        return _EXIT_REJECTS
    changed = outcome.differences is not None and outcome.differences.differences
    return _EXIT_DIFFERENT if changed else 0


def _export(
    options: Options, settings: ReplaySettings, stop: threading.Event, out: Console, err: Console
) -> int:
    path = Path(options.out or "")
    rejects = options.rejects or Path(f"{path}.rejects")
    suffix_of(str(path), FRAME_FORMS)
    check_new(path, overwrite=options.overwrite)
    for one in (path, rejects):
        check_place(one, ())
    source = _topic(options, settings)
    with counted("exporting", source.size, err) as tell:
        exported = export(source, path, options.selection, stop, tell)
    if exported is None:
        raise Interrupted(None)
    if exported.rejects:
        with rejects.open("w", encoding="utf-8") as file:
            file.writelines(reject.line for reject in exported.rejects)
    if options.json:
        _print_json(_exported(exported))
    else:
        out.print(f"{exported.frames:,} frames in {path}", highlight=False)
        counts = {"no frame": len(exported.rejects)} if exported.rejects else {}
        report.show_rejects(counts, rejects, out)
    return _EXIT_REJECTS if exported.rejects else 0


def _import(
    options: Options, settings: ReplaySettings, stop: threading.Event, out: Console, err: Console
) -> int:
    source = files(list(options.logs), options.form, options.zone)
    rejects = options.rejects or Path("import.rejects")
    check_place(rejects, source.paths)
    names = TopicNames(settings.topic_prefix)
    topics_of(settings.kafka)  # if Kafka is not there, that is said at once
    ensure_topics(settings.kafka, names, settings.partitions)
    codec = frame_codec(registry_at(settings.schema_registry_url), names.frames)
    topic = Topic(settings.kafka, names.frames, codec)
    with counted("importing", source.size, err) as tell:
        imported = import_logs(source, topic, options.selection, rejects, stop, tell)
    if imported is None:
        raise Interrupted(None)
    if options.json:
        _print_json(_imported(imported))
    else:
        out.print(
            f"{imported.frames:,} frames appended to {names.frames}; {imported.there:,} were there",
            highlight=False,
        )
        report.show_rejects(imported.rejected, rejects, out)
        if imported.late:
            out.print(
                f"{len(imported.late):,} charge points had later frames on the topic already. A "
                "live processor takes them in the order of the topic; for events in the order of "
                "time import into topics of their own (TOPIC_PREFIX).",
                highlight=False,
            )
    return _EXIT_REJECTS if imported.rejected else 0


_COMMANDS: Final = {"run": _run, "export": _export, "import": _import}


def _source(options: Options, settings: ReplaySettings) -> Source:
    if options.logs:
        if options.topic is not None or options.as_of is not None:
            raise UsageError("--topic and --as-of are of no use with log files")
        return files(list(options.logs), options.form, options.zone)
    return _topic(options, settings)


def _target(options: Options, settings: ReplaySettings) -> Target:
    if options.out is None:
        return ToNowhere()
    if not options.out.startswith(TOPIC):
        return ToFile(options.out)
    topic = options.out.removeprefix(TOPIC)
    if topic == TopicNames(settings.topic_prefix).events:
        raise UsageError(
            f"{topic} is the live processor's; its consumers would see every event twice. Replay "
            "into another topic and compare, or point consumers at that one"
        )
    return ToTopic(settings.kafka, topic, settings.schema_registry_url)


def _topic(options: Options, settings: ReplaySettings) -> FromKafka:
    return frames_topic(
        settings.kafka,
        options.topic or TopicNames(settings.topic_prefix).frames,
        settings.schema_registry_url,
        options.as_of,
    )


def _tariffs(path: Path | None) -> Tariffs:
    try:
        return Tariffs() if path is None else Tariffs.load(path)
    except ChargelogError as error:
        raise UsageError(str(error)) from error


def _exported(exported: Exported) -> dict[str, Any]:
    return {"frames": exported.frames, "rejected": len(exported.rejects)}


def _imported(imported: Imported) -> dict[str, Any]:
    return {
        "frames": imported.frames,
        "alreadyThere": imported.there,
        "otherLines": imported.other_lines,
        "repeatedLines": imported.repeated,
        "otherChargePoints": imported.passed_over,
        "rejected": imported.rejected,
        "chargePointsWithLaterFrames": sorted(imported.late),
    }


def _how_to_go_on(argv: list[str], folder: Path | None) -> str:
    if folder is None:
        again = shlex.join([PROG, *argv])
        if argv[0] == "import":
            return f"stopped; what was appended stays. The same import again goes on: {again}"
        return f"stopped; nothing is kept to be resumed. Again: {again}"
    resumed = argv if "--resume" in argv else [*argv, "--resume"]
    return f"stopped; what is done is kept in {folder}. Go on with: {shlex.join([PROG, *resumed])}"


def _print_json(found: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")


def _say(text: str) -> None:
    sys.stderr.write(f"{PROG}: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
