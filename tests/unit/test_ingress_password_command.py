"""`chargelog-ingress password`."""

import io
from pathlib import Path

import pytest

from ingress.security.password_command import main
from ingress.security.passwords import PasswordFile, enter

PASSWORD = b"0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INGRESS_PASSWORD_FILE", str(tmp_path / "passwords"))
    return tmp_path / "passwords"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, typed: str = "") -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    return main(list(arguments))


async def is_right(path: Path, identity: str, password: bytes) -> bool:
    passwords = PasswordFile(path)
    try:
        return await passwords.check(identity, password)
    finally:
        passwords.close()


async def test_a_password_is_typed_or_made_up_or_hexadecimal(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "add", "CP1", typed="0123456789abcdef\n") == 0
    assert run(monkeypatch, "add", "CP2", "--hex", typed="ff00" * 8 + "\n") == 0
    assert capsys.readouterr().out == ""
    assert run(monkeypatch, "add", "CP3", "--generate") == 0
    made_up = capsys.readouterr().out.strip()
    assert len(made_up) == 20
    assert await is_right(path, "CP1", PASSWORD)
    assert await is_right(path, "CP2", b"\xff\x00" * 8)
    assert await is_right(path, "CP3", made_up.encode())
    assert run(monkeypatch, "remove", "CP1") == 0
    assert not await is_right(path, "CP1", PASSWORD)
    assert await is_right(path, "CP3", made_up.encode())


async def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "elsewhere"
    line = ("--file", str(path), "add", "CP1")
    assert run(monkeypatch, *line, typed="0123456789abcdef\n") == 0
    assert await is_right(path, "CP1", PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "typed", "reason"),
    [
        (("add", "CP1"), "short\n", "a password has 16 to 40 bytes, this one has 5"),
        (("add", "CP1", "--hex"), "xyz\n", "the password is not hexadecimal"),
        (("add", "CP:1"), "0123456789abcdef\n", "'CP:1' holds a colon"),
        (("add", "x" * 49), "0123456789abcdef\n", "49 characters; at most 48"),
        (("remove", "CP1"), "", "CP1 is not listed in"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changed(  # noqa: PLR0913, PLR0917 - fixtures and cases
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    typed: str,
    reason: str,
) -> None:
    enter(path, "CP9", PASSWORD)
    before = path.read_bytes()
    assert run(monkeypatch, *arguments, typed=typed) == 2
    assert reason in capsys.readouterr().err
    assert path.read_bytes() == before


def test_a_file_has_to_be_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("INGRESS_PASSWORD_FILE", raising=False)
    monkeypatch.chdir(tmp_path)  # where there is no .env
    assert run(monkeypatch, "add", "CP1") == 2
    assert "set INGRESS_PASSWORD_FILE or give --file" in capsys.readouterr().err
