"""OCPP's security profiles, with real handshakes and certificates that the tests make."""

import asyncio
import base64
import datetime as dt
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ingress_kit import (
    OCPP16,
    ask,
    call,
    charge_point,
    ingress_settings,
    service_process,
    until_status,
)
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import HeadersLike
from websockets.exceptions import InvalidHandshake, InvalidStatus

from devstack.existing import ExistingKafka
from devstack.kafka import KafkaBroker
from devstack.process import free_port
from ingress.errors import TlsFileError
from ingress.security.passwords import enter
from ingress.service import Ingress

pytestmark = pytest.mark.integration
Kafka = KafkaBroker | ExistingKafka

PASSWORD = b"0123456789abcdef"
HEARTBEAT = call("1", "Heartbeat", {})
TLS_REFUSALS = (ssl.SSLError, OSError, EOFError, InvalidHandshake)
"""In TLS 1.3 the client learns of it only when it reads, in one of these ways."""


class Files:
    """An installation's certificates and passwords."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.directory = directory
        self.client_ca = directory / "client-ca.pem"
        self.passwords = directory / "passwords"
        self.ca.cert_pem.write_to_path(self.client_ca)
        self.issue("rsa", trustme.KeyType.RSA)
        self.issue("ecdsa", trustme.KeyType.ECDSA)
        enter(self.passwords, "CP1", PASSWORD)

    def issue(self, name: str, kind: trustme.KeyType) -> None:
        """A certificate for the server, in place of the one before it."""
        issued = self.ca.issue_cert("127.0.0.1", "localhost", key_type=kind)
        issued.private_key_pem.write_to_path(self.directory / f"{name}.key")
        self._path(name).write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def settings(self, profile: int) -> dict[str, Any]:
        values: dict[str, Any] = {"ingress_security_profile": profile}
        if profile in {1, 2}:
            values["ingress_password_file"] = self.passwords
        if profile in {2, 3}:
            values["ingress_tls_cert_files"] = (self._path("rsa"), self._path("ecdsa"))
            values["ingress_tls_key_files"] = (
                self.directory / "rsa.key", self.directory / "ecdsa.key",
            )  # fmt: skip
        if profile == 3:
            values["ingress_tls_client_ca_file"] = self.client_ca
        return values

    def trust(self) -> ssl.SSLContext:
        """What a charge point trusts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@asynccontextmanager
async def running(
    kafka: Kafka,
    prefix: str,
    files: Files,
    profile: int,
    **changes: Any,  # noqa: ANN401 - any field's value
) -> AsyncIterator[Ingress]:
    values = {**files.settings(profile), **changes}
    async with Ingress(ingress_settings(kafka.bootstrap_servers, prefix, **values)) as ingress:
        yield ingress


def basic(username: str, password: bytes) -> dict[str, str]:
    encoded = base64.b64encode(username.encode() + b":" + password).decode()
    return {"Authorization": f"Basic {encoded}"}


@asynccontextmanager
async def secure(
    ingress: Ingress,
    name: str,
    context: ssl.SSLContext,
    host: str = "127.0.0.1",
    **options: Any,  # noqa: ANN401 - the client's own
) -> AsyncIterator[ClientConnection]:
    async with connect(
        f"wss://{host}:{ingress.port}/{name}", ssl=context, subprotocols=OCPP16, **options
    ) as websocket:
        yield websocket


async def status_of(ingress: Ingress, name: str, headers: HeadersLike | None) -> int:
    with pytest.raises(InvalidStatus) as refused:
        async with charge_point(ingress, name, additional_headers=headers):
            pass
    response = refused.value.response
    if response.status_code == 401:
        assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
    return response.status_code


async def answered(websocket: ClientConnection) -> bool:
    return (await ask(websocket, HEARTBEAT)).startswith(b'[3,"1"')


async def test_profile_1_asks_for_the_password_of_the_identity(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    key = bytes(range(236, 256))  # as OCPP 1.6's AuthorizationKey: any bytes
    enter(files.passwords, "CP/2", key)
    with capture_logs() as logs:
        async with running(kafka, topic_prefix, files, 1, ingress_password_failures=50) as ingress:
            for name, headers in (
                ("CP1", None),
                ("CP1", {"Authorization": "Bearer x"}),
                ("CP1", basic("CP1", b"wrong-password-1")),
                ("CP1", basic("CP/2", key)),
                ("CP1", basic("CP/2", PASSWORD)),
                ("CP3", basic("CP3", PASSWORD)),
            ):
                assert await status_of(ingress, name, headers) == 401
            for name, headers in (
                ("CP1", basic("CP1", PASSWORD)),
                ("CP%2F2", basic("CP/2", key)),
            ):
                async with charge_point(ingress, name, additional_headers=headers) as websocket:
                    assert await answered(websocket)
            twice = [*basic("CP1", PASSWORD).items()] * 2
            assert await status_of(ingress, "CP1", twice) == 400
    refusals = [entry for entry in logs if entry["event"] == "connection refused"]
    assert [entry["client_id"] for entry in refusals] == ["CP1"] * 5 + ["CP3", "CP1"]
    for secret in (PASSWORD.decode(), "wrong-password", base64.b64encode(PASSWORD).decode()):
        assert secret not in str(logs)


async def test_attempts_are_limited_but_not_for_the_charge_point_itself(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    right, wrong = basic("CP1", PASSWORD), basic("CP1", b"wrong-password-1")
    async with running(kafka, topic_prefix, files, 1, ingress_password_failures=3) as ingress:
        async with charge_point(ingress, "CP1", additional_headers=right):
            pass
        found = await asyncio.gather(*(status_of(ingress, "CP1", wrong) for _ in range(8)))
        assert sorted(found) == [401] * 3 + [429] * 5
        assert await status_of(ingress, "CP1", wrong) == 429
        async with charge_point(ingress, "CP1", additional_headers=right) as websocket:
            assert await answered(websocket)


CIPHERS = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256", "AES256-GCM-SHA384",
]  # fmt: skip
"""All that OCPP 2.0.1 Part 2 A00.FR.318 wants a central system to have."""


async def test_profile_2_is_basic_over_tls(kafka: Kafka, topic_prefix: str, files: Files) -> None:
    right = basic("CP1", PASSWORD)
    async with running(kafka, topic_prefix, files, 2) as ingress:
        async with secure(ingress, "CP1", files.trust(), additional_headers=right) as websocket:
            assert websocket.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            assert await answered(websocket)
        for cipher in CIPHERS:
            context = files.trust()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(cipher)
            async with secure(ingress, "CP1", context, additional_headers=right) as websocket:
                assert websocket.transport.get_extra_info("cipher")[0] == cipher
                assert await answered(websocket)
        with pytest.raises(InvalidStatus) as refused:
            async with secure(
                ingress, "CP1", files.trust(), additional_headers=basic("CP1", b"wrong")
            ):
                pass
        assert refused.value.response.status_code == 401
        with pytest.raises((ssl.SSLError, OSError)):
            async with secure(ingress, "CP1", _before_tls_1_2(files), additional_headers=right):
                pass
        # Nothing is taken in plain text.
        with pytest.raises((InvalidHandshake, OSError, EOFError)):
            async with charge_point(ingress, "CP1", additional_headers=right):
                pass


def _before_tls_1_2(files: Files) -> ssl.SSLContext:
    context = files.trust()
    # Lowered for the client alone, so that it is the server that refuses.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1 is deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1 is deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def test_profile_3_asks_for_the_certificate_of_the_identity(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    def shows(ca: trustme.CA, *names: str, common_name: str | None = None) -> ssl.SSLContext:
        context = files.trust()
        ca.issue_cert(*names, common_name=common_name).configure_cert(context)
        return context

    foreign = trustme.CA()
    async with running(kafka, topic_prefix, files, 3) as ingress:
        for context in (
            shows(files.ca, "serial.example.com", common_name="CP1"),
            shows(files.ca, "CP1", common_name="serial-4711"),
        ):
            async with secure(ingress, "CP1", context) as websocket:
                assert await answered(websocket)
        with pytest.raises(InvalidStatus) as refused:
            async with secure(ingress, "CP2", shows(files.ca, "a.example.com", common_name="CP1")):
                pass
        assert refused.value.response.status_code == 403
        for context, reason, detail in (
            (files.trust(), "PEER_DID_NOT_RETURN_A_CERTIFICATE", None),
            (
                shows(foreign, "x.example.com", common_name="CP1"),
                "CERTIFICATE_VERIFY_FAILED",
                "unable to get local issuer certificate",
            ),
        ):
            with capture_logs() as logs, pytest.raises(TLS_REFUSALS):
                async with secure(ingress, "CP1", context):
                    pass
            (told,) = [line for line in logs if line["event"] == "TLS handshake failed"]
            assert (told["reason"], told["detail"]) == (reason, detail)


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def _serial(websocket: ClientConnection) -> str:
    certificate: dict[str, str] = websocket.transport.get_extra_info("peercert")
    return certificate["serialNumber"]


async def test_changed_certificates_are_for_new_connections_and_leave_the_old_alone(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    def shows(ca: trustme.CA, name: str) -> ssl.SSLContext:
        context = files.trust()
        ca.issue_cert(f"{name}.example.com".lower(), common_name=name).configure_cert(context)
        return context

    new_ca = trustme.CA()
    async with (
        running(kafka, topic_prefix, files, 3) as ingress,
        secure(ingress, "CP1", shows(files.ca, "CP1")) as old,
    ):
        files.issue("rsa", trustme.KeyType.RSA)
        files.issue("ecdsa", trustme.KeyType.ECDSA)
        ingress.reload(force=False)
        for host in ("127.0.0.1", "localhost"):  # without and with a server name
            async with secure(ingress, "CP2", shows(files.ca, "CP2"), host) as new:
                assert _serial(new) != _serial(old)
        # Others sign for charge points now; a broken key after that changes nothing.
        new_ca.cert_pem.write_to_path(files.client_ca)
        ingress.reload(force=False)
        (files.directory / "rsa.key").write_text("no key", encoding="utf-8")
        ingress.reload(force=False)
        async with secure(ingress, "CP2", shows(new_ca, "CP2")) as websocket:
            assert await answered(websocket)
        with pytest.raises(TLS_REFUSALS):
            async with secure(ingress, "CP2", shows(files.ca, "CP2")):
                pass
        assert await answered(old)


def _revocation_list(ca: trustme.CA, *revoked: int, days: int = 1) -> bytes:
    key = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes()).subject
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(now - dt.timedelta(days=2))
        .next_update(now + dt.timedelta(days=days))
    )
    for serial in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        )
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def test_a_certificate_that_was_taken_back_is_refused(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    contexts: list[ssl.SSLContext] = []
    serials = []
    for name in ("CP1", "CP2"):
        issued = files.ca.issue_cert(f"{name}.example.com", common_name=name)
        contexts.append(files.trust())
        issued.configure_cert(contexts[-1])
        (pem,) = issued.cert_chain_pems
        serials.append(x509.load_pem_x509_certificate(pem.bytes()).serial_number)
    authority = files.ca.cert_pem.bytes()
    async with running(kafka, topic_prefix, files, 3) as ingress:
        files.client_ca.write_bytes(authority + _revocation_list(files.ca, serials[0]))
        ingress.reload(force=False)
        async with secure(ingress, "CP2", contexts[1]) as websocket:
            assert await answered(websocket)
        with pytest.raises(TLS_REFUSALS):
            async with secure(ingress, "CP1", contexts[0]):
                pass
        # A list that is out of date says nothing any more; without one there is nothing to say.
        files.client_ca.write_bytes(authority + _revocation_list(files.ca, days=-1))
        ingress.reload(force=False)
        with pytest.raises(TLS_REFUSALS):
            async with secure(ingress, "CP2", contexts[1]):
                pass
        files.client_ca.write_bytes(authority)
        ingress.reload(force=False)
        async with secure(ingress, "CP1", contexts[0]) as websocket:
            assert await answered(websocket)


async def test_the_service_takes_up_changed_files_by_itself(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    """As it runs in production: a process of its own, on uvloop."""
    own = files.trust()
    files.ca.issue_cert("cp1.example.com", common_name="CP1").configure_cert(own)
    port, ops_port = free_port(), free_port()
    names = {name.upper(): value for name, value in files.settings(3).items()}
    with service_process(
        KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
        TOPIC_PREFIX=topic_prefix,
        INGRESS_HOST="0.0.0.0",  # noqa: S104 - allowed, as it is profile 3
        INGRESS_PORT=str(port),
        INGRESS_OPS_PORT=str(ops_port),
        INGRESS_SECURITY_PROFILE="3",
        INGRESS_TLS_CERT_FILES=",".join(map(str, names["INGRESS_TLS_CERT_FILES"])),
        INGRESS_TLS_KEY_FILES=",".join(map(str, names["INGRESS_TLS_KEY_FILES"])),
        INGRESS_TLS_CLIENT_CA_FILE=str(files.client_ca),
    ):
        await until_status(ops_port, 200)
        async with connect(f"wss://127.0.0.1:{port}/CP1", ssl=own, subprotocols=OCPP16) as old:
            assert await answered(old)
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"wss://127.0.0.1:{port}/CP2", ssl=own, subprotocols=OCPP16):
                    pass
            assert refused.value.response.status_code == 403
            with pytest.raises(TLS_REFUSALS):
                async with connect(f"wss://127.0.0.1:{port}/CP1", ssl=files.trust()):
                    pass
            assert 'refused_total{reason="tls"} 1.0' in await asyncio.to_thread(metrics, ops_port)
            files.issue("rsa", trustme.KeyType.RSA)
            files.issue("ecdsa", trustme.KeyType.ECDSA)
            async with asyncio.timeout(60):
                while True:
                    _, writer = await asyncio.open_connection("localhost", port, ssl=own)
                    serial = writer.get_extra_info("peercert")["serialNumber"]
                    writer.transport.abort()
                    if serial != _serial(old):
                        break
                    await asyncio.sleep(0.2)
            assert await answered(old)


async def test_a_tls_handshake_that_does_not_come_is_not_waited_for(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    async with running(kafka, topic_prefix, files, 2, ingress_open_timeout_s=1) as ingress:
        reader, writer = await asyncio.open_connection("127.0.0.1", ingress.port)
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        writer.close()


async def test_in_front_of_another_central_system_the_password_is_checked_here_first(
    kafka: Kafka, topic_prefix: str, files: Files
) -> None:
    # Nobody listens there: 502 tells that it was asked.
    behind = {"upstream_url": f"ws://127.0.0.1:{free_port()}"}
    async with running(kafka, topic_prefix, files, 1, **behind) as ingress:
        assert await status_of(ingress, "CP1", basic("CP1", b"wrong-password-1")) == 401
        assert await status_of(ingress, "CP1", basic("CP1", PASSWORD)) == 502


def _encrypted(path: Path) -> None:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )


def test_files_that_do_not_fit_are_refused_at_start(files: Files) -> None:
    settings = ingress_settings("localhost:9092", "", **files.settings(3))
    Ingress(settings)
    _encrypted(files.directory / "rsa.key")
    with pytest.raises(TlsFileError, match="the key is encrypted"):
        Ingress(settings)
    files.issue("rsa", trustme.KeyType.RSA)
    shutil.copy(files.directory / "ecdsa.key", files.directory / "rsa.key")
    with pytest.raises(TlsFileError, match=r"rsa\.pem with .*rsa\.key can't be used"):
        Ingress(settings)
    files.issue("rsa", trustme.KeyType.RSA)
    files.client_ca.write_text("nobody", encoding="utf-8")
    with pytest.raises(TlsFileError, match=r"client-ca\.pem can't be used"):
        Ingress(settings)


def _add_with_generated_password(path: Path, name: str) -> tuple[str, str]:
    """What the command prints on standard output and standard error."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "ingress", "password", "add", name, "--generate"],
        env={**os.environ, "INGRESS_PASSWORD_FILE": str(path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


async def test_passwords_are_entered_by_command_and_taken_up_while_connections_stand(
    kafka: Kafka, topic_prefix: str, tmp_path: Path
) -> None:
    path = tmp_path / "passwords"
    enter(path, "CP1", PASSWORD)
    settings = ingress_settings(
        kafka.bootstrap_servers,
        topic_prefix,
        ingress_security_profile=1,
        ingress_password_file=path,
        ingress_password_failures=100,
    )
    cp1 = basic("CP1", PASSWORD)
    async with (
        Ingress(settings) as ingress,
        charge_point(ingress, "CP1", additional_headers=cp1) as standing,
    ):
        generated, said = _add_with_generated_password(path, "CP2")
        assert said == f"CP2 added in {path}\n"
        enter(path, "CP1", b"another password")
        ingress.reload(force=False)
        cp2 = basic("CP2", generated.strip().encode())
        async with charge_point(ingress, "CP2", additional_headers=cp2) as websocket:
            assert await answered(websocket)
        assert await status_of(ingress, "CP1", cp1) == 401
        assert await answered(standing)
        enter(path, "CP2", None)
        ingress.reload(force=False)
        assert await status_of(ingress, "CP2", cp2) == 401
