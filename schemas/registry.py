"""The schema registry as the codec sees it, over the Confluent client."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, TypeVar

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from schemas.codec import Registry
from schemas.errors import RegistryError, UnknownSchemaError

_TIMEOUT_S: Final = 10.0

T = TypeVar("T")


class ConfluentRegistry:
    """`schemas.codec.Registry` on a Confluent-compatible registry."""

    def __init__(self, url: str) -> None:
        self._url = url

    def register(self, subject: str, schema: str) -> int:
        """Id of `schema` under `subject`; registers it where it is new.

        Raises:
            RegistryError: The registry can't be reached, or refuses the schema.
        """
        return self._ask(lambda client: client.register_schema(subject, Schema(schema, "AVRO")))

    def schema(self, schema_id: int) -> str:
        """The schema's JSON text.

        Raises:
            UnknownSchemaError: The registry has no such id.
            RegistryError: The registry can't be reached.
        """
        text = self._ask(lambda client: client.get_schema(schema_id).schema_str)
        if text is None:
            raise UnknownSchemaError(f"the registry holds no text for schema id {schema_id}")
        return text

    def _ask(self, request: Callable[[SchemaRegistryClient], T]) -> T:
        try:
            # Asked once per schema, the codec remembers: no connection need stay open.
            with SchemaRegistryClient({"url": self._url, "timeout": _TIMEOUT_S}) as client:
                return request(client)
        except SchemaRegistryError as error:
            # Only this one is the record's fault; a registry that is down must not send good
            # records to the dead letter.
            if error.http_status_code == HTTPStatus.NOT_FOUND:
                raise UnknownSchemaError(f"not in the registry {self._url}: {error}") from error
            raise RegistryError(f"the registry {self._url} refused: {error}") from error
        except httpx2.HTTPError as error:
            raise RegistryError(
                f"the registry {self._url} does not answer ({error!r}): start it, or correct "
                "SCHEMA_REGISTRY_URL"
            ) from error


def registry_for(url: str | None) -> Registry | None:
    """The registry at `url`; None where no registry is configured."""
    return None if url is None else ConfluentRegistry(url)
