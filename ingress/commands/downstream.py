"""Commands from Kafka to the charge points that are connected here, and their results back.

Every instance follows both topics (`ingress.commands.book`). One that holds a connection of the
command's charge point writes `sent`, and sends the CALL if the log shows that its record was the
first. So a command is sent once at most. Results for commands that nobody sent in time, or whose
instance died before it wrote one, are written by whichever instance comes first; readers take the
first.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any, Final, Protocol

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ingress.commands.book import MICROS, REMEMBERED_S, CommandBook
from ingress.durable import DurableProducer
from ingress.errors import AnswerLostError, NotSentError
from ingress.metrics import COMMANDS
from ingress.protocol.session import Answer
from ingress.protocol.version import Version
from runtime.kafka_access import KafkaAccess
from schemas.codec import Codec
from schemas.commands import MAX_COMMAND_ID, Command, CommandResult, Outcome
from schemas.errors import CodecError
from schemas.ocppj import Call, CallResult

log = structlog.get_logger(__name__)

_POLL_MS: Final = 500
_RETRY_S: Final = 0.5
_WATCH_S: Final = 1.0
_JITTER_S: Final = 2.0
"""Instances look at random moments within it, so that mostly one writes what all could write."""
_GRACE_S: Final = 30.0
_STOP_S: Final = 5.0


class Line(Protocol):
    """A connection of a charge point, as far as commands are concerned."""

    @property
    def client_id(self) -> str:
        """The charge point's identity."""

    @property
    def version(self) -> Version:
        """The negotiated version: what is no valid CALL of it is rejected."""

    async def send(self, call: Call) -> Answer:
        """Send a CALL; its CALLRESULT or CALLERROR.

        Raises:
            NotSentError: It did not reach the wire.
            AnswerLostError: It did, and the connection ended before the answer.
        """


class Downstream:
    """The commands of all charge points, for those that are connected to this instance.

    Args:
        producer: Writes the results.
        kafka: Where Kafka is.
        commands: Full name of the commands topic.
        results: Full name of the results topic.
        partitions: How many each of the two has.
        codecs: Commands and results ⇄ bytes.
        instance: Identifies this process.
        clock_ns: Unix time in nanoseconds.
        answer_timeout_s: How long a charge point may take to answer.
    """

    def __init__(  # noqa: PLR0913 - a composition's parts, each named
        self,
        producer: DurableProducer,
        *,
        kafka: KafkaAccess,
        commands: str,
        results: str,
        partitions: int,
        codecs: tuple[Codec[Command], Codec[CommandResult]],
        instance: str,
        clock_ns: Callable[[], int],
        answer_timeout_s: float,
    ) -> None:
        self._producer = producer
        self._kafka = kafka
        self._commands = commands
        self._results = results
        self._partitions = partitions
        self._command_codec, self._result_codec = codecs
        self._instance = instance
        self._clock_ns = clock_ns
        self._answer_timeout_s = answer_timeout_s
        self._book = CommandBook()
        self._lines: dict[str, Line] = {}
        self._unread: dict[TopicPartition, int] = {}
        self._consumer: Any = None
        self._tasks: list[asyncio.Task[None]] = []
        self._attending: dict[str, asyncio.Task[None]] = {}
        self._taken: dict[str, asyncio.Future[None]] = {}

    @property
    def not_ready(self) -> str | None:
        """Why commands are not sent yet; None: they are."""
        if not self._tasks or self._unread:
            return f"reading {self._commands} and {self._results}"
        if any(task.done() for task in self._tasks):
            return f"reading {self._commands} has stopped"
        return None

    async def start(self) -> None:
        """Begin to read what of the topics still matters.

        Raises:
            aiokafka.errors.KafkaError: No broker answers, or there are no such topics.
        """
        self._consumer = AIOKafkaConsumer(
            **self._kafka.aiokafka(), group_id=None, enable_auto_commit=False
        )
        await self._consumer.start()
        partitions = [
            TopicPartition(topic, number)
            for topic in (self._commands, self._results)
            for number in range(self._partitions)
        ]
        self._consumer.assign(partitions)
        since_ms = self._now() // 1000 - REMEMBERED_S * 1000
        begins = await self._consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ends = await self._consumer.end_offsets(partitions)
        for partition in partitions:
            begin = ends[partition] if begins[partition] is None else begins[partition].offset
            self._consumer.seek(partition, begin)
            if begin < ends[partition]:
                self._unread[partition] = ends[partition]
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._watch())]

    async def stop(self) -> None:
        """End; what can't be ended in time gets its result from another instance."""
        if self._attending:
            await asyncio.wait(tuple(self._attending.values()), timeout=_STOP_S)
        for task in (*self._tasks, *tuple(self._attending.values())):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._consumer is not None:
            stopping = asyncio.create_task(self._consumer.stop())
            await asyncio.wait({stopping}, timeout=_STOP_S)

    def attach(self, line: Line) -> None:
        """A charge point is connected; a newer connection of it takes the place of an older one."""
        self._lines[line.client_id] = line
        self._send_waiting(line.client_id)

    def detach(self, line: Line) -> None:
        """A connection ended; a newer one of the same charge point stays."""
        if self._lines.get(line.client_id) is line:
            del self._lines[line.client_id]

    def _send_waiting(self, client_id: str) -> None:
        """Begin with a charge point's next command, unless one of its is under way."""
        line = self._lines.get(client_id)
        if line is None or client_id in self._attending or self.not_ready:
            return
        command = self._book.next_for(client_id, self._now())
        if command is not None:
            # Whatever connection it is that makes it begin: its logs name what they are about.
            task = asyncio.create_task(self._attend(command, line), context=Context())
            self._attending[client_id] = task
            task.add_done_callback(partial(self._attended, client_id))

    def _attended(self, client_id: str, task: asyncio.Task[None]) -> None:
        del self._attending[client_id]
        if not task.cancelled():
            if (error := task.exception()) is not None:
                log.error("a command failed", client_id=client_id, exc_info=error)
            self._send_waiting(client_id)

    async def _attend(self, command: Command, line: Line) -> None:
        payload, problem = _check(command, line.version)
        if problem is not None:
            await self._write(command, "rejected", description=problem)
            await self._until_taken(command)
            return
        await self._write(command, "sent")
        await self._until_taken(command)
        if self._book.is_taken_by(command.command_id) != self._instance:
            return
        if command.expires_at <= self._now():
            await self._write(command, "expired", description="Kafka confirmed it too late")
            return
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                answer = await line.send(Call(command.command_id, command.action, payload))
        except NotSentError as error:
            await self._write(command, "expired", description=str(error))
        except AnswerLostError as error:
            await self._write(command, "timeout", description=str(error))
        except TimeoutError:
            await self._write(
                command, "timeout", description=f"no answer within {self._answer_timeout_s:g} s"
            )
        else:
            await self._write_answer(command, answer)

    async def _until_taken(self, command: Command) -> None:
        """Until the log shows whose record was the first; one of ours is written already."""
        if self._book.is_taken_by(command.command_id) is None:
            await self._taken.setdefault(
                command.command_id, asyncio.get_running_loop().create_future()
            )

    async def _write_answer(self, command: Command, answer: Answer) -> None:
        message = answer.message
        if isinstance(message, CallResult):
            await self._write(
                command, "result", payload=_json(message.payload), description=answer.violation
            )
        else:
            await self._write(
                command,
                "error",
                payload=_json(message.details),
                error_code=message.code,
                description=message.description,
            )

    async def _write(
        self,
        of: Command | CommandResult,
        outcome: Outcome,
        *,
        payload: str | None = None,
        error_code: str | None = None,
        description: str | None = None,
    ) -> None:
        result = CommandResult(
            command_id=of.command_id,
            client_id=of.client_id,
            outcome=outcome,
            instance=self._instance,
            at=self._now(),
            payload=payload,
            error_code=error_code,
            description=description,
        )
        await self._producer.append_patiently(
            self._results, of.client_id.encode(), self._result_codec.encode(result), []
        )
        COMMANDS.labels(outcome).inc()
        log.info(
            "command",
            outcome=outcome,
            command_id=of.command_id,
            client_id=of.client_id,
            error_code=error_code,
            description=description,
        )

    async def _follow(self) -> None:
        while True:
            try:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except KafkaError as error:
                log.warning("reading commands", error=repr(error))
                await asyncio.sleep(_RETRY_S)
                continue
            was_ready = not self.not_ready
            touched: set[str] = set()
            for partition, records in fetched.items():
                touched.update(filter(None, map(self._take, records)))
                if records and records[-1].offset + 1 >= self._unread.get(partition, 0):
                    self._unread.pop(partition, None)
            for client_id in touched if was_ready else tuple(self._lines):
                self._send_waiting(client_id)

    def _take(self, record: Any) -> str | None:  # noqa: ANN401 - aiokafka ships no types
        """Enter a record in the book; the charge point that it concerns."""
        try:
            if record.topic == self._commands:
                command = self._command_codec.decode(record.value)
                self._book.take_command(command)
                return command.client_id
            result = self._result_codec.decode(record.value)
            self._book.take_result(result)
            taken = self._taken.pop(result.command_id, None)
            if taken is not None and not taken.done():
                taken.set_result(None)
        except CodecError as error:
            COMMANDS.labels("unreadable").inc()
            log.error(  # noqa: TRY400 - the message says it all
                "a record that can't be read: nothing is sent for it",
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                error=str(error),
            )
            return None
        return result.client_id

    async def _watch(self) -> None:
        """Write what became of commands that no connection's `serve` answers for."""
        while True:
            await asyncio.sleep(_WATCH_S + random.uniform(0, _JITTER_S))  # noqa: S311 - no secret
            if self.not_ready:
                continue
            now = self._now()
            for command in list(self._book.expired(now)):
                if command.client_id not in self._attending:
                    await self._write(
                        command, "expired", description="the charge point was not connected in time"
                    )
            limit_s = self._answer_timeout_s + _GRACE_S
            for sent in list(self._book.unanswered(now - int(limit_s * MICROS))):
                if sent.client_id not in self._attending:
                    await self._write(
                        sent,
                        "timeout",
                        description=f"no answer is known; {sent.instance}, which sent it, is gone",
                    )
            self._book.forget(now)

    def _now(self) -> int:
        return self._clock_ns() // 1000


def _check(command: Command, version: Version) -> tuple[Any, str | None]:
    """The payload, and why the command is no valid CALL; None: it is one."""
    if not 0 < len(command.command_id) <= MAX_COMMAND_ID:
        return None, f"commandId has {len(command.command_id)} characters; 1 to {MAX_COMMAND_ID}"
    row = version.from_central_system.get(command.action)
    if row is None:
        known = ", ".join(version.from_central_system)
        return None, f"{version.protocol} has no command {command.action!r:.64}; it has {known}"
    try:
        payload = orjson.loads(command.payload)
    except orjson.JSONDecodeError as error:
        return None, f"the payload is not JSON: {error}"
    violation = row.request.check(payload)
    return payload, None if violation is None else str(violation)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
