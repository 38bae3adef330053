"""Settings from environment variables and a `.env` file: typed, checked at start, listed by --help.

Loading is pydantic-settings'; here is only what users see of it: one line for each wrong value,
and the table that `--help` prints.
"""

import argparse
import sys
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, FilePath, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.kafka_access import KafkaAccess

EXIT_USAGE = 2
"""Exit code for a wrong setting or command line."""


class ServiceSettings(BaseSettings):
    """Base of every service's settings. The variable's name is the field's, in upper case."""

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="lowest level that is logged"
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="json for machines, console for people"
    )


class KafkaSettings(ServiceSettings):
    """Settings of everything that talks to Kafka."""

    kafka_bootstrap_servers: str = Field(
        "localhost:9092", min_length=1, description="Kafka brokers, host:port[,host:port…]"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Kafka's security.protocol: with TLS (SSL), with a user (SASL)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how the user is proved, where the protocol has SASL"
    )
    kafka_sasl_username: str | None = Field(None, description="the user")
    kafka_sasl_password: SecretStr | None = Field(None, description="the user's password")
    kafka_tls_ca_file: FilePath | None = Field(
        None, description="authorities that sign the brokers' certificates; not set: the system's"
    )
    kafka_tls_cert_file: FilePath | None = Field(
        None, description="client certificate, with its chain"
    )
    kafka_tls_key_file: FilePath | None = Field(None, description="its key, without a passphrase")
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="put before every topic, group and transactional id; separates installations "
        "on one Kafka",
    )
    partitions: int = Field(
        8,
        ge=1,
        le=1000,
        description="partitions of frames, events and changelog where topics are created; "
        "existing topics must have this number",
    )
    schema_registry_url: str | None = Field(
        None,
        pattern=r"^https?://",
        description="where set, records are written in the Confluent wire format",
    )

    @property
    def kafka(self) -> KafkaAccess:
        """Where Kafka is and how one gets in."""
        password = self.kafka_sasl_password
        ca, cert, key = (
            None if file is None else str(file)
            for file in (self.kafka_tls_ca_file, self.kafka_tls_cert_file, self.kafka_tls_key_file)
        )
        return KafkaAccess(
            self.kafka_bootstrap_servers,
            self.kafka_security_protocol,
            self.kafka_sasl_mechanism,
            self.kafka_sasl_username,
            None if password is None else password.get_secret_value(),
            ca,
            cert,
            key,
        )

    @model_validator(mode="after")
    def _kafka_settings_go_together(self) -> Self:
        access, protocol = self.kafka, f"KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol}"
        named = [name for name in (access.username, access.password) if name is not None]
        if access.has_sasl and len(named) != 2:  # noqa: PLR2004 - the two of the line before
            raise ValueError(f"KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD for {protocol}")
        if named and not access.has_sasl:
            raise ValueError(f"no KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD with {protocol}")
        if any((access.ca_file, access.cert_file, access.key_file)) and not access.has_tls:
            raise ValueError(f"no KAFKA_TLS_…_FILE with {protocol}")
        if (access.cert_file is None) != (access.key_file is None):
            raise ValueError("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE together, or neither")
        try:
            access.ssl_context()
        except OSError as error:
            raise ValueError(f"PEM files in KAFKA_TLS_…_FILE: {error}") from error
        return self


S = TypeVar("S", bound=ServiceSettings)


def load(
    settings_class: type[S], *, prog: str, description: str, argv: list[str] | None = None
) -> S:
    """The settings, or the end of the process.

    `--help` prints every variable and exits 0. A wrong value prints one line that names the
    variable, the value and what is expected, and exits 2. Secrets are never printed.
    """
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=variables(settings_class),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(argv)
    return from_environment(settings_class, prog=prog)


def from_environment(settings_class: type[S], *, prog: str) -> S:
    """As `load`, for commands that have a command line of their own."""
    try:
        return settings_class()
    except ValidationError as error:
        for line in describe_errors(settings_class, error):
            sys.stderr.write(f"{prog}: {line}\n")
        raise SystemExit(EXIT_USAGE) from None


def describe_errors(settings_class: type[ServiceSettings], error: ValidationError) -> list[str]:
    """One line for each wrong variable."""
    return [_line(settings_class, detail) for detail in error.errors()]


def _line(settings_class: type[ServiceSettings], detail: ErrorDetails) -> str:
    name = str(detail["loc"][0]) if detail["loc"] else ""
    field = settings_class.model_fields.get(name.lower())
    value = "(hidden)" if field is not None and _is_secret(field) else repr(detail["input"])
    expected = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if not name:
        # A check over several variables names them in its message.
        return f"wrong settings: {expected}"
    meaning = f" ({field.description})" if field is not None and field.description else ""
    return f"{name.upper()}={value} is not valid; expected {expected}{meaning}"


def variables(settings_class: type[ServiceSettings]) -> str:
    """The table of variables that `--help` prints."""
    rows = [
        (name.upper(), _default(field), field.description or "")
        for name, field in settings_class.model_fields.items()
    ]
    width = max(len(name) for name, _, _ in rows)
    lines = [f"  {name:<{width}}  {text} {default}" for name, default, text in rows]
    return "environment variables (or lines of a .env file):\n" + "\n".join(lines)


def _default(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True, validated_data={})
    if default in {None, PydanticUndefined, "", ()}:
        return "[not set]"
    if isinstance(default, SecretStr):
        return "[hidden]"
    return f"[{str(default).lower() if isinstance(default, bool) else default}]"


def _is_secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation)
