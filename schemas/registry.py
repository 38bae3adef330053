"""The schema registry as the codec sees it, over the Confluent client."""

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.codec import Registry
from schemas.errors import UnknownSchemaError


class ConfluentRegistry:
    """`schemas.codec.Registry` on a Confluent-compatible registry."""

    def __init__(self, url: str) -> None:
        self._client = SchemaRegistryClient({"url": url})

    def register(self, subject: str, schema: str) -> int:
        """Id of `schema` under `subject`; registers it where it is new."""
        return int(self._client.register_schema(subject, Schema(schema, "AVRO")))

    def schema(self, schema_id: int) -> str:
        """The schema's JSON text.

        Raises:
            UnknownSchemaError: The registry has no such id.
        """
        try:
            text = self._client.get_schema(schema_id).schema_str
        except SchemaRegistryError as error:
            raise UnknownSchemaError(
                f"the registry does not know schema id {schema_id}: {error}"
            ) from error
        if text is None:
            raise UnknownSchemaError(f"the registry holds no text for schema id {schema_id}")
        return text


def registry_for(url: str | None) -> Registry | None:
    """The registry at `url`; None where no registry is configured."""
    return None if url is None else ConfluentRegistry(url)
