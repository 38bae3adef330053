"""The Confluent wire format between our codec and Confluent's own serializers, through Kafka."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
from aiohttp import web
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its __init__ names no __all__
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from kafka_log import committed_records

from devstack.kafka import KafkaBroker
from schemas.codec import frame_codec, load_schema
from schemas.errors import RegistryError, UnknownSchemaError
from schemas.frames import OcppFrame
from schemas.registry import registry_for

pytestmark = pytest.mark.integration

FRAME: Final = OcppFrame(
    client_id="charge-point-001",
    received_at_ns=1_701_944_130_123_456_789,
    direction="outbound",
    protocol="ocpp1.6",
    kind="CALLRESULT",
    message_id="1",
    action="Heartbeat",
    raw=b'[3,"1",{"currentTime":"2023-12-07T10:15:30Z"}]',
    connection_id="7f9c24e8",
)


class RegistryServer:
    """The three REST calls of a Confluent-compatible registry that clients make, in memory."""

    def __init__(self) -> None:
        self.url = ""
        self.broken = False
        self.subjects: dict[str, list[int]] = {}
        self._schemas: list[str] = []

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_post("/subjects/{subject}", self._look_up)
        app.router.add_get("/schemas/ids/{id}", self._schema)
        return app

    async def _register(self, request: web.Request) -> web.Response:
        if self.broken:
            return web.json_response({"error_code": 42201, "message": "Invalid schema"}, status=422)
        text = await _schema_text(request)
        if text not in self._schemas:
            self._schemas.append(text)
        schema_id = self._schemas.index(text) + 1
        ids = self.subjects.setdefault(request.match_info["subject"], [])
        if schema_id not in ids:
            ids.append(schema_id)
        return web.json_response({"id": schema_id})

    async def _look_up(self, request: web.Request) -> web.Response:
        subject, text = request.match_info["subject"], await _schema_text(request)
        for version, schema_id in enumerate(self.subjects.get(subject, []), start=1):
            if self._schemas[schema_id - 1] == text:
                return web.json_response(
                    {"subject": subject, "version": version, "id": schema_id, "schema": text}
                )
        return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)

    async def _schema(self, request: web.Request) -> web.Response:
        schema_id = int(request.match_info["id"])
        if not 0 < schema_id <= len(self._schemas):
            return web.json_response(
                {"error_code": 40403, "message": "Schema not found"}, status=404
            )
        return web.json_response({"schema": self._schemas[schema_id - 1]})


async def _schema_text(request: web.Request) -> str:
    # Registries compare Avro schemas, not texts: white space makes no other schema.
    return json.dumps(json.loads((await request.json())["schema"]))


@pytest.fixture
async def server() -> AsyncIterator[RegistryServer]:
    registry = RegistryServer()
    runner = web.AppRunner(registry.application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    registry.url = f"http://{host}:{port}"
    yield registry
    await runner.cleanup()


def through_kafka(bootstrap_servers: str, topic: str, values: list[bytes]) -> list[bytes]:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": bootstrap_servers})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(30) == 0
    return [record.value() or b"" for record in committed_records(bootstrap_servers, topic)]


def fields(frame: OcppFrame) -> dict[str, Any]:
    datum: dict[str, Any] = msgspec.to_builtins(frame, builtin_types=(bytes,))
    return datum


async def test_confluents_serializers_and_the_codec_read_one_another(
    server: RegistryServer, kafka: KafkaBroker, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}ocpp.frames"
    context = SerializationContext(topic, MessageField.VALUE)

    def exchange() -> None:
        codec = frame_codec(registry_for(server.url), topic)
        with SchemaRegistryClient({"url": server.url}) as client:
            theirs = AvroSerializer(client, load_schema("ocpp_frame"))(fields(FRAME), context)
            assert theirs is not None
            before = frame_codec().encode(FRAME)
            values = through_kafka(
                kafka.bootstrap_servers, topic, [before, codec.encode(FRAME), theirs]
            )
            assert values[1] == values[2]
            assert values[1][:5] == struct.pack(">bI", 0, 1)
            # The first was written before the registry was set.
            assert [codec.decode(value) for value in values] == [FRAME, FRAME, FRAME]
            assert AvroDeserializer(client)(values[1], context) == fields(FRAME)

    await asyncio.to_thread(exchange)
    assert server.subjects == {f"{topic}-value": [1]}


async def test_a_record_of_an_older_registered_schema_is_read(server: RegistryServer) -> None:
    schema = json.loads(load_schema("ocpp_frame"))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "violation"]
    context = SerializationContext("ocpp.frames", MessageField.VALUE)

    def exchange() -> OcppFrame:
        datum = fields(FRAME)
        del datum["violation"]
        with SchemaRegistryClient({"url": server.url}) as client:
            old = AvroSerializer(client, json.dumps(schema))(datum, context)
        assert old is not None
        # A process of its own would know the old schema only by the record's id, too.
        return frame_codec(registry_for(server.url), "ocpp.frames").decode(old)

    assert await asyncio.to_thread(exchange) == FRAME
    assert server.subjects == {"ocpp.frames-value": [1, 2]}


async def test_an_id_that_the_registry_does_not_know_is_the_records_fault(
    server: RegistryServer,
) -> None:
    codec = await asyncio.to_thread(lambda: frame_codec(registry_for(server.url), "t"))
    with pytest.raises(UnknownSchemaError, match="Schema not found"):
        await asyncio.to_thread(codec.decode, struct.pack(">bI", 0, 99) + b"body")


async def test_a_registry_that_refuses_is_nobodys_record(server: RegistryServer) -> None:
    server.broken = True
    with pytest.raises(RegistryError, match=r"refused: Invalid schema"):
        await asyncio.to_thread(lambda: frame_codec(registry_for(server.url), "t"))


def test_a_registry_that_does_not_answer_names_the_variable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(RegistryError, match=f"{url} does not answer .* SCHEMA_REGISTRY_URL"):
            frame_codec(registry_for(url), "t")


def test_no_url_means_no_registry() -> None:
    assert registry_for(None) is None
