"""Files whose content is taken up again when they change, without a restart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import structlog

from ingress.errors import SettingFileError

log = structlog.get_logger(__name__)

T = TypeVar("T")


class Reloadable(Protocol):
    """Whatever is read from files."""

    def reload(self, *, force: bool) -> None:
        """Take up changes."""


class Watched(Generic[T]):
    """What `read` makes of some files, made again when they have changed.

    Args:
        what: What the files are, for the log.
        paths: The files that `read` reads.
        read: Makes the value; raises SettingFileError for files that won't do.

    Raises:
        SettingFileError: At construction; later a wrong file changes nothing.

    Attributes:
        value: The last good one.
    """

    def __init__(self, what: str, paths: Sequence[Path], read: Callable[[], T]) -> None:
        self._what = what
        self._paths = tuple(paths)
        self._read = read
        self._seen = [_stamp(path) for path in self._paths]
        self.value = read()

    def reload(self, *, force: bool) -> None:
        """Read the files again if one has changed, or in any case."""
        stamps = [_stamp(path) for path in self._paths]
        if stamps == self._seen and not force:
            return
        self._seen = stamps
        try:
            self.value = self._read()
        except SettingFileError as error:
            log.error("not reloaded; what was read before stays", what=self._what, error=str(error))  # noqa: TRY400 - the message says it all
        else:
            log.info("reloaded", what=self._what)


def read_text(path: Path, error_type: type[SettingFileError]) -> str:
    """The file's text.

    Raises:
        SettingFileError: It can't be read, or is no UTF-8; of the type that was given.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise error_type(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise error_type(f"{path} is no UTF-8: {error.reason}") from error


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # A file that was replaced by another one is a change, however alike their times and sizes are.
    return status.st_mtime_ns, status.st_size, status.st_ino
