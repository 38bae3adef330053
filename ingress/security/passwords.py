"""The passwords of charge points: a file of argon2 hashes, and how one is checked.

The file has one charge point a line, its identity and the hash of its password, as argon2 writes
it (the PHC string); empty lines are skipped:

    CP001:$argon2id$v=19$m=8192,t=1,p=1$…

`chargelog-ingress password add CP001` writes it.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from ingress.errors import AccessError, PasswordFileError
from ingress.watched import Watched, read_text

HASHER: Final = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
"""Some milliseconds and 8 MiB for each check (docs/decisions/0012-cost-of-a-password.md)."""
_MAX_CHECKING: Final = 1000
"""Checks that wait: some seconds' worth; beyond that a handshake would not live to see its turn."""
LENGTHS: Final = range(16, 41)
"""Bytes of a password: security whitepaper edition 3 A00.FR.205; OCPP 2.0.1 BasicAuthPassword."""


class PasswordFile:
    """Checks passwords against the file, which is read again when it changes.

    A check takes milliseconds of a processor, so it is done in a thread, and a password that has
    been found right is known again without it, as long as its line in the file is the same: five
    thousand charge points that come back at once have mostly been here before.

    Args:
        path: The file.

    Raises:
        PasswordFileError: At construction: the file can't be read or has a wrong line.
    """

    def __init__(self, path: Path) -> None:
        self._hashes = Watched(
            "passwords", (path,), lambda: parse(read_text(path, PasswordFileError))
        )
        self._threads = ThreadPoolExecutor(
            max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="password"
        )
        # What is kept of a right password can't be tried out without this key.
        self._key = secrets.token_bytes(32)
        self._known: dict[str, tuple[str, bytes]] = {}
        self._checking: dict[bytes, asyncio.Task[bool]] = {}
        # Checked for identities that are not listed, so that the time doesn't tell which are.
        self._nobody = HASHER.hash(secrets.token_bytes(LENGTHS.start))

    def reload(self, *, force: bool) -> None:
        """Take up changes; connections that stand are left alone."""
        self._hashes.reload(force=force)

    def close(self) -> None:
        """End the threads, and give up what waits for them."""
        for task in self._checking.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_known(self, identity: str, password: bytes) -> bool:
        """Whether this password was found right before, and its line in the file is the same."""
        hashed, mark = self._known.get(identity, ("", b""))
        listed = self._hashes.value.get(identity)
        return hashed == listed and hmac.compare_digest(mark, self._mark(identity, password))

    async def check(self, identity: str, password: bytes) -> bool:
        """Whether it is the identity's password; takes as long where the identity is not listed.

        Raises:
            AccessError: Too many checks wait for a thread already; trying again later helps.
        """
        mark = self._mark(identity, password)
        checking = self._checking.get(mark)
        if checking is None:
            if len(self._checking) >= _MAX_CHECKING:
                raise AccessError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "too many passwords to check", "busy"
                )
            checking = asyncio.create_task(self._check(identity, password, mark))
            self._checking[mark] = checking
            checking.add_done_callback(lambda _: self._checking.pop(mark))
        # Goes on where the handshake that asked has been given up: the next one finds the answer.
        return await asyncio.shield(checking)

    async def _check(self, identity: str, password: bytes, mark: bytes) -> bool:
        hashed = self._hashes.value.get(identity)
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _matches, hashed or self._nobody, password
        )
        if not right or hashed is None:
            return False
        self._known[identity] = (hashed, mark)
        return True

    def _mark(self, identity: str, password: bytes) -> bytes:
        text = len(identity.encode()).to_bytes(4) + identity.encode() + password
        return hmac.digest(self._key, text, hashlib.sha256)


def _matches(hashed: str, password: bytes) -> bool:
    try:
        return HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def parse(text: str) -> Mapping[str, str]:
    """Identity → hash.

    Raises:
        PasswordFileError: A line is wrong; the message names its number, not its content.
    """
    entries: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        identity, _, hashed = line.partition(":")
        try:
            extract_parameters(hashed)
        except InvalidHashError:
            raise PasswordFileError(
                f"line {number}: expected <identity>:<argon2 hash>; write it with "
                "`chargelog-ingress password add <identity>`"
            ) from None
        if not identity:
            raise PasswordFileError(f"line {number}: there is no identity before the colon")
        if identity in entries:
            raise PasswordFileError(f"line {number}: {identity!r} is listed twice")
        entries[identity] = hashed
    return entries


def enter(path: Path, identity: str, password: bytes | None) -> bool:
    """Put a charge point's password into the file (None: take it out), in one step.

    Returns:
        Whether the identity was listed before.

    Raises:
        PasswordFileError: The file can't be read or written, or has a wrong line.
    """
    with _alone(path.parent):
        text = read_text(path, PasswordFileError) if path.exists() else ""
        entries = dict(parse(text))
        listed = identity in entries
        entries.pop(identity, None)
        if password is not None:
            entries[identity] = HASHER.hash(password)
        _replace(path, "".join(f"{name}:{hashed}\n" for name, hashed in entries.items()))
    return listed


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keeps another writer of the same directory waiting."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise PasswordFileError(f"{directory} can't be opened: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        # For its owner alone from the start, not only once it is written.
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            status = path.stat()
            os.chown(new, status.st_uid, status.st_gid)
            new.chmod(status.st_mode)
        new.replace(path)
    except OSError as error:
        raise PasswordFileError(f"{path} can't be written: {error}") from error
