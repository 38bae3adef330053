"""Whether events can go where they are to go, before anything is begun."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ names no __all__
    AdminClient,
    NewTopic,
)

from processor.replay.cluster import topics_of
from processor.replay.errors import ReplayError, UsageError
from processor.replay.job import NEW_JOB, ToTopic
from processor.replay.kafka_source import bounds_of
from processor.replay.outputs.forms import EVENT_FORMS, suffix_of

_TIMEOUT_S: Final = 15.0


def check_file(path: Path, *, overwrite: bool) -> None:
    """Whether the events can go into this file.

    Raises:
        UsageError: They can't.
    """
    EVENT_FORMS[suffix_of(str(path), EVENT_FORMS)]()
    check_new(path, overwrite=overwrite)


def check_new(path: Path, *, overwrite: bool) -> None:
    """Whether a file may be put there.

    Raises:
        UsageError: There is one.
    """
    if path.exists() and not overwrite:
        raise UsageError(f"{path} is there already; write to another file, or add --overwrite")


def check_place(path: Path, read: Iterable[str]) -> None:
    """Whether a file can be put there when the run is done, over nothing that is read.

    Raises:
        UsageError: It can't.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}")
    if path.exists() and any(Path(one).exists() and path.samefile(one) for one in read):
        raise UsageError(f"{path} is read by this run; write to another file")


def check_folder(path: Path) -> None:
    """Whether a run may work in that folder: files of its own names are written and deleted there.

    Raises:
        UsageError: It may not.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{path} is to be the working folder, but is a file")
    if {one.name for one in path.iterdir()} - {NEW_JOB}:
        raise UsageError(
            f"{path} is to be the working folder, but holds other files; name one with "
            "--checkpoint that is empty or not there yet"
        )


def partitions_of(target: ToTopic) -> int | None:
    """How many partitions the topic has; None if it is not there.

    Raises:
        ReplayError: Kafka does not answer.
    """
    found = topics_of(target.kafka).get(target.topic)
    return None if found is None else len(found.partitions)


def make_topic(target: ToTopic, lanes: int) -> None:
    """Create the topic with a partition for each lane, or see that it is like that and empty.

    Raises:
        UsageError: It is not.
        ReplayError: Kafka does not answer, or refuses.
    """
    found = partitions_of(target)
    if found is None:
        admin = AdminClient({**target.kafka.librdkafka(), "log_level": 0})
        new = NewTopic(
            target.topic, lanes, replication_factor=-1, config={"cleanup.policy": "delete"}
        )
        try:
            admin.create_topics([new])[target.topic].result(_TIMEOUT_S)
        except KafkaException as error:
            raise ReplayError(
                f"topic {target.topic} can't be created: {error.args[0].str()}"
            ) from error
        return
    if found != lanes:
        raise UsageError(
            f"topic {target.topic} has {found} partitions, the frames have {lanes}: replay into a "
            "topic that is not there yet"
        )
    bounds = bounds_of(target.kafka, target.topic)
    if any(one.start != one.end for one in bounds.values()):
        raise UsageError(
            f"topic {target.topic} holds records already; replay into a topic that is not there "
            "yet, or that nobody wrote to"
        )
