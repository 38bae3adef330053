"""Which idTags may charge: all, or those of a list file.

The file has one idTag a line, optionally followed by a comma and its status (Accepted by default);
empty lines and lines that start with # are skipped:

    # staff
    04A2B3C4
    04FFEE01,Blocked

idTags, and the idTokens of OCPP 2.x, are compared without regard to case (OCPP 1.6 §7.5,
CiString20Type; 2.x IdTokenType); one that is not listed is Invalid.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ingress.errors import AuthorizationFileError
from ingress.protocol.version import Authorization
from ingress.watched import Watched, read_text

STATUSES: Final = ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")
"""OCPP 1.6 §7.2, AuthorizationStatus."""
_MAX_ID_TAG: Final = 255
"""The longest of all versions, 2.1's; 1.6 has 20, 2.0.1 has 36."""

_ACCEPTED: Final = Authorization("Accepted")
_UNKNOWN: Final = Authorization("Invalid")


class AcceptAll:
    """Every idTag may charge."""

    def authorize(self, _: str) -> Authorization:
        """Accepted."""
        return _ACCEPTED


class ListFile:
    """The idTags of a list file, read again when it has changed.

    Raises:
        AuthorizationFileError: At construction: the file is missing or has a wrong line.
    """

    def __init__(self, path: Path) -> None:
        self._entries = Watched(
            "authorization list", (path,), lambda: parse(read_text(path, AuthorizationFileError))
        )

    def authorize(self, id_tag: str) -> Authorization:
        """The listed status, or Invalid."""
        return self._entries.value.get(id_tag.casefold(), _UNKNOWN)

    def reload(self, *, force: bool) -> None:
        """Read the file again if it has changed, or in any case; a wrong one changes nothing."""
        self._entries.reload(force=force)


def parse(text: str) -> Mapping[str, Authorization]:
    """The entries of a list file: case-folded idTag → authorization.

    Raises:
        AuthorizationFileError: A line is wrong; the message names it.
    """
    entries: dict[str, Authorization] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        id_tag, _, status = (part.strip() for part in line.partition(","))
        if not 0 < len(id_tag) <= _MAX_ID_TAG:
            raise AuthorizationFileError(
                f"line {number}: an idTag has 1 to {_MAX_ID_TAG} characters, got {id_tag!r}"
            )
        if status and status not in STATUSES:
            raise AuthorizationFileError(
                f"line {number}: {status!r} is no status; expected one of {', '.join(STATUSES)}"
            )
        if id_tag.casefold() in entries:
            raise AuthorizationFileError(f"line {number}: {id_tag!r} is listed twice")
        entries[id_tag.casefold()] = Authorization(status or "Accepted")
    return entries
