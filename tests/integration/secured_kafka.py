"""A real Kafka that lets nobody in without TLS and a user, or without a client certificate."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its __init__ names no __all__
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from devstack.kafka import KafkaBroker
from devstack.process import free_port

USER, PASSWORD = "chargelog", "open sesame"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


class SecuredKafka:
    """The broker's two guarded listeners, as environment variables say them.

    Attributes:
        with_user: TLS and SCRAM-SHA-512.
        with_certificate: TLS and a client certificate.
    """

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        for name in ("localhost", "chargelog"):
            issued = ca.issue_cert(name)
            # Kafka reads keys as PKCS #8 only.
            key = load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            chain = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
            (folder / f"{name}.key").write_bytes(key)
            (folder / f"{name}.pem").write_bytes(key + chain)
        inside, user, certificate = free_port(), free_port(), free_port()
        listeners = {
            "PLAINTEXT": f"127.0.0.1:{inside}",
            "USER": f"localhost:{user}",
            "CERTIFICATE": f"localhost:{certificate}",
        }
        advertised = ",".join(f"{name}://{at}" for name, at in listeners.items())
        self._controller = free_port()
        self.broker = KafkaBroker(
            folder / "kafka",
            port=inside,
            settings={
                "controller.quorum.voters": f"1@127.0.0.1:{self._controller}",
                "listeners": f"{advertised},CONTROLLER://127.0.0.1:{self._controller}",
                "advertised.listeners": advertised,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
                "USER:SASL_SSL,CERTIFICATE:SSL",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.user.scram-sha-512.sasl.jaas.config": _SCRAM,
                "listener.name.certificate.ssl.client.auth": "required",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(folder / "localhost.pem"),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(folder / "ca.pem"),
            },
        )
        self.with_user = {
            "KAFKA_BOOTSTRAP_SERVERS": listeners["USER"],
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_TLS_CA_FILE": str(folder / "ca.pem"),
        }
        self.with_certificate = {
            "KAFKA_BOOTSTRAP_SERVERS": listeners["CERTIFICATE"],
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_TLS_CA_FILE": str(folder / "ca.pem"),
            "KAFKA_TLS_CERT_FILE": str(folder / "chargelog.pem"),
            "KAFKA_TLS_KEY_FILE": str(folder / "chargelog.key"),
        }

    def add_user(self) -> None:
        """Tell the broker of the user; it keeps such users itself."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_servers})
        credentials = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        wanted = UserScramCredentialUpsertion(USER, credentials, PASSWORD.encode())
        admin.alter_user_scram_credentials([wanted])[USER].result(30)


@contextmanager
def secured_kafka(folder: Path) -> Iterator[SecuredKafka]:
    """Started, with its user."""
    secured = SecuredKafka(folder)
    with secured.broker:
        secured.add_user()
        yield secured
