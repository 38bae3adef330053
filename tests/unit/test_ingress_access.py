"""Who may connect: settings, password file, Basic header, attempts, names in certificates."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ingress.errors import AccessError, PasswordFileError, TlsFileError
from ingress.security import basic, tls
from ingress.security.attempts import Attempts
from ingress.security.basic import Credentials
from ingress.security.passwords import HASHER, PasswordFile, enter, parse
from ingress.settings import IngressSettings
from runtime.settings import describe_errors

PASSWORD = b"0123456789abcdef"
FILES = {
    "ingress_password_file": "passwords",
    "ingress_tls_cert_files": "cert.pem",
    "ingress_tls_key_files": "key.pem",
    "ingress_tls_client_ca_file": "ca.pem",
}


def refusal(**values: Any) -> str:  # noqa: ANN401 - any field's value
    with pytest.raises(ValidationError) as error:
        IngressSettings(_env_file=None, **values)
    (line,) = describe_errors(IngressSettings, error.value)
    return line


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_profile_0_is_the_default_on_loopback(host: str) -> None:
    assert IngressSettings(_env_file=None, ingress_host=host).security_profile == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "csms.example.com"])  # noqa: S104 - never bound
def test_profile_0_has_to_be_asked_for_elsewhere(host: str) -> None:
    line = refusal(ingress_host=host)
    assert line.startswith("wrong settings: set INGRESS_SECURITY_PROFILE, as INGRESS_HOST=")
    asked = IngressSettings(_env_file=None, ingress_host=host, ingress_security_profile=0)
    assert asked.security_profile == 0


@pytest.mark.parametrize(
    ("profile", "needed"),
    [
        (1, ["ingress_password_file"]),
        (2, ["ingress_password_file", "ingress_tls_cert_files", "ingress_tls_key_files"]),
        (3, ["ingress_tls_cert_files", "ingress_tls_key_files", "ingress_tls_client_ca_file"]),
    ],
)
def test_a_profile_names_the_settings_that_it_lacks(profile: int, needed: list[str]) -> None:
    names = " and ".join(name.upper() for name in needed)
    assert f"set {names} for" in refusal(ingress_security_profile=profile)
    given: dict[str, Any] = {name: FILES[name] for name in needed}
    for name in needed:
        lacking = {key: value for key, value in given.items() if key != name}
        assert name.upper() in refusal(ingress_security_profile=profile, **lacking)
    settings = IngressSettings(_env_file=None, ingress_security_profile=profile, **given)
    assert settings.security_profile == profile


def test_certificates_and_keys_come_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGRESS_TLS_CERT_FILES", "rsa.pem, ecdsa.pem")
    assert "one key for each of INGRESS_TLS_CERT_FILES" in refusal()
    monkeypatch.setenv("INGRESS_TLS_KEY_FILES", "rsa.key,ecdsa.key")
    settings = IngressSettings(_env_file=None)
    assert settings.ingress_tls_cert_files == (Path("rsa.pem"), Path("ecdsa.pem"))
    assert settings.ingress_tls_key_files == (Path("rsa.key"), Path("ecdsa.key"))


async def test_a_password_is_right_for_its_identity_only(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    binary = bytes(range(240, 256))
    assert not enter(path, "CP1", PASSWORD)
    assert not enter(path, "#CP 2", binary)
    passwords = PasswordFile(path)
    try:
        assert await passwords.check("CP1", PASSWORD)
        assert await passwords.check("#CP 2", binary)
        assert not await passwords.check("CP1", binary)
        assert not await passwords.check("CP3", PASSWORD)
        assert not await passwords.check("CP1", b"")
    finally:
        passwords.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"0123456789abcdef" not in path.read_bytes()


async def test_a_right_password_is_known_until_its_line_changes(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    enter(path, "CP1", PASSWORD)
    passwords = PasswordFile(path)
    try:
        assert not passwords.is_known("CP1", PASSWORD)
        assert await passwords.check("CP1", PASSWORD)
        assert passwords.is_known("CP1", PASSWORD)
        assert not passwords.is_known("CP1", PASSWORD + b"0")
        assert not passwords.is_known("CP", b"1" + PASSWORD)
        assert enter(path, "CP1", b"another password")
        passwords.reload(force=False)
        assert not passwords.is_known("CP1", PASSWORD)
        assert await passwords.check("CP1", b"another password")
        path.write_text("CP1:plain text\n", encoding="utf-8")
        passwords.reload(force=True)
        assert passwords.is_known("CP1", b"another password")
        enter_fails = pytest.raises(PasswordFileError, match="line 1: expected <identity>:<argon2")
        with enter_fails:
            enter(path, "CP2", PASSWORD)
        path.write_text("", encoding="utf-8")
        passwords.reload(force=True)
        assert not passwords.is_known("CP1", b"another password")
        assert not await passwords.check("CP1", b"another password")
    finally:
        passwords.close()


async def test_many_checks_at_once_leave_the_event_loop_alone(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    enter(path, "CP1", PASSWORD)
    passwords = PasswordFile(path)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        answers = await asyncio.gather(*(passwords.check("CP1", PASSWORD) for _ in range(50)))
    finally:
        counting.cancel()
        passwords.close()
    assert all(answers)
    assert turns > 50  # more often than once a check


async def test_a_check_outlives_the_handshake_that_was_given_up(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    enter(path, "CP1", PASSWORD)
    passwords = PasswordFile(path)
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await passwords.check("CP1", PASSWORD)
        async with asyncio.timeout(60):
            while not passwords.is_known("CP1", PASSWORD):  # noqa: ASYNC110 - nobody waits for it
                await asyncio.sleep(0.01)
    finally:
        passwords.close()


async def test_checks_that_wait_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    enter(path, "CP1", PASSWORD)
    passwords = PasswordFile(path)
    waiting = [
        asyncio.create_task(passwords.check(f"CP{number}", PASSWORD)) for number in range(1001)
    ]
    try:
        await asyncio.sleep(0)
        with pytest.raises(AccessError, match="too many passwords to check") as refused:
            await waiting[-1]
        assert refused.value.status == 503
        # One that is being checked is not checked once more.
        assert await passwords.check("CP1", PASSWORD)
    finally:
        passwords.close()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("CP1", "line 1: expected <identity>:<argon2 hash>"),
        ("\nCP1:secret", "line 2: expected <identity>:<argon2 hash>"),
        (f":{HASHER.hash(PASSWORD)}", "line 1: there is no identity"),
        (f"CP1:{HASHER.hash(PASSWORD)}\n" * 2, "line 2: 'CP1' is listed twice"),
    ],
)
def test_a_wrong_line_is_named_by_its_number_and_not_shown(text: str, reason: str) -> None:
    with pytest.raises(PasswordFileError, match=reason) as error:
        parse(text)
    assert "secret" not in str(error.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(PasswordFileError, match="nothing-here can't be read"):
        PasswordFile(tmp_path / "nothing-here")
    with pytest.raises(TlsFileError, match=r"no-cert with .*no-key can't be used"):
        tls.Tls([tmp_path / "no-cert"], [tmp_path / "no-key"], None)


def header(content: bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(content).decode()}"


def test_credentials_of_a_header() -> None:
    assert basic.from_header(header(b"CP1:a:b")) == Credentials("CP1", b"a:b")
    assert basic.from_header(header(b"CP1:\xff\x00", "bAsIc")) == Credentials("CP1", b"\xff\x00")
    assert basic.from_header(header("é:x".encode())) == Credentials("é", b"x")
    for wrong in (
        None, "", "Basic", "Basic !!!", "Basic é", header(b"no colon"), header(b"\xff:x"),
        header(b"CP1:x", "Bearer"), "Basic Q1AxOng", "Basic  ",
    ):  # fmt: skip
        assert basic.from_header(wrong) is None


@given(st.text() | st.binary().map(header))
def test_any_header_is_credentials_or_none(text: str) -> None:
    found = basic.from_header(text)
    assert found is None or ":" not in found.username


def test_attempts_are_limited_for_a_minute_by_identity_and_address() -> None:
    attempts = Attempts(3)
    assert [attempts.begin("a", "CP1", 0) for _ in range(5)] == [True, True, True, False, False]
    assert attempts.begin("b", "CP1", 1)  # another address
    assert attempts.begin("a", "CP2", 1)  # another identity
    assert not attempts.begin("a", "CP1", 59)
    assert attempts.begin("a", "CP1", 60)


def test_right_passwords_do_not_count() -> None:
    attempts = Attempts(3)
    for second in range(50):
        assert attempts.begin("a", "CP1", second)
        attempts.withdrawn("a", "CP1", second)


def test_failures_of_an_address_are_limited_over_all_identities() -> None:
    attempts = Attempts(3)
    for number in range(60):
        assert attempts.begin("a", f"CP{number}", 0)
        attempts.failed("a", 0)
    assert not attempts.begin("a", "CP-new", 0)
    assert attempts.begin("b", "CP-new", 0)


def test_memory_of_attempts_is_bounded() -> None:
    attempts = Attempts(3)
    for number in range(50_000):
        attempts.begin(f"address-{number}", "CP1", number / 1000)
        attempts.failed(f"address-{number}", number / 1000)
    for windows in (attempts._pairs, attempts._addresses):  # noqa: SLF001 - what is to be bounded
        assert len(windows._counts) <= 10_001  # noqa: SLF001 - as above


def test_names_of_a_certificate() -> None:
    certificate = {
        "subject": ((("countryName", "NL"),), (("commonName", "CP1"),)),
        "subjectAltName": (("DNS", "cp-2.example.com"), ("IP Address", "192.0.2.1")),
    }
    for name in ("CP1", "cp-2.example.com", "CP-2.example.com"):
        assert tls.stands_for(certificate, name)
    for name in ("cp1", "NL", "192.0.2.1", "example.com", ""):
        assert not tls.stands_for(certificate, name)
    assert not tls.stands_for({}, "")
