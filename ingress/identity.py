"""A charge point's identity, from the websocket's path (OCPP-J 1.6 §3.1.1)."""

import unicodedata
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from ingress.errors import IdentityError

MAX_LENGTH: Final = 48
"""OCPP 2.0.1 Part 4 §3.1.1: identifierString of at most 48 characters; 1.6 names no limit."""


def from_path(path: str) -> str:
    """The last segment of `path` (without its query), percent-decoded once.

    Raises:
        IdentityError: There is no last segment, or it is too long, not UTF-8, or has control or
            other invisible characters, which would make two names look alike in every display.
    """
    segment = path.partition("?")[0].rpartition("/")[2]
    if not segment:
        raise IdentityError(
            HTTPStatus.NOT_FOUND,
            "the URL ends without a charge point identity; connect to ws://host:port/<identity>",
        )
    try:
        identity = unquote(segment, errors="strict")
    except UnicodeDecodeError as error:
        raise IdentityError(
            HTTPStatus.BAD_REQUEST,
            f"the charge point identity is not percent-encoded UTF-8: {error.reason}",
        ) from error
    return check(identity)


def check(identity: str) -> str:
    """The identity, if it can be one.

    Raises:
        IdentityError: It is too long, blank, or has control or other invisible characters.
    """
    if len(identity) > MAX_LENGTH:
        raise IdentityError(
            HTTPStatus.BAD_REQUEST,
            f"the charge point identity has {len(identity)} characters; at most {MAX_LENGTH}",
        )
    # Categories C* (control, format, surrogate, unassigned) and Zl, Zp (line, paragraph).
    if any(
        unicodedata.category(c)[0] == "C" or unicodedata.category(c) in {"Zl", "Zp"}
        for c in identity
    ):
        raise IdentityError(
            HTTPStatus.BAD_REQUEST,
            f"the charge point identity {identity!a} holds control or invisible characters",
        )
    if not identity.strip():
        raise IdentityError(HTTPStatus.BAD_REQUEST, "the charge point identity is blank")
    return identity
