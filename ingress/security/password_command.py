"""`chargelog-ingress password`: keeps the file of the charge points' passwords."""

import argparse
import getpass
import secrets
import string
import sys
from pathlib import Path
from typing import Final

from ingress import identity
from ingress.errors import IdentityError
from ingress.security.passwords import LENGTHS, enter
from runtime.settings import EXIT_USAGE, ServiceSettings, from_environment

_VARIABLE: Final = "INGRESS_PASSWORD_FILE"
_ALPHABET: Final = string.ascii_letters + string.digits
_GENERATED_LENGTH: Final = 20
"""119 bits; as long as the AuthorizationKey of OCPP 1.6 may be."""
_PROG: Final = "chargelog-ingress password"


class PasswordSettings(ServiceSettings):
    """Settings of the command."""

    ingress_password_file: Path | None = None


def main(argv: list[str]) -> int:
    """Run `password add` or `password remove`; exit 2 on a wrong command line."""
    arguments = _parser().parse_args(argv)
    path: Path | None = (
        arguments.file or from_environment(PasswordSettings, prog=_PROG).ingress_password_file
    )
    if path is None:
        return _refuse(f"set {_VARIABLE} or give --file")
    try:
        name = identity.check(arguments.identity)
    except IdentityError as error:
        return _refuse(str(error))
    if ":" in name:
        return _refuse(f"{name!r} holds a colon, which HTTP Basic allows in no username")
    if arguments.command == "remove":
        if not enter(path, name, None):
            return _refuse(f"{name} is not listed in {path}")
        sys.stderr.write(f"{name} removed from {path}\n")
        return 0
    return _add(path, name, generate=arguments.generate, from_hex=arguments.hex)


def _add(path: Path, name: str, *, generate: bool, from_hex: bool) -> int:
    if generate:
        typed = "".join(secrets.choice(_ALPHABET) for _ in range(_GENERATED_LENGTH))
    elif sys.stdin.isatty():
        typed = getpass.getpass(f"password of {name}: ")
        if typed != getpass.getpass("again: "):
            return _refuse("the two are not the same; nothing was changed")
    else:
        typed = sys.stdin.readline().rstrip("\r\n")
    try:
        password = bytes.fromhex(typed) if from_hex else typed.encode()
    except ValueError:
        return _refuse("the password is not hexadecimal; nothing was changed")
    if len(password) not in LENGTHS:
        return _refuse(
            f"a password has {LENGTHS.start} to {LENGTHS.stop - 1} bytes, this one has "
            f"{len(password)}; nothing was changed"
        )
    listed = enter(path, name, password)
    sys.stderr.write(f"{name} {'changed' if listed else 'added'} in {path}\n")
    if generate:
        # The only time that it is to be seen.
        sys.stdout.write(f"{typed}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROG,
        description="Keep the file of charge points' passwords (argon2 hashes). A running ingress "
        "takes changes up by itself; connections that stand are left alone.",
    )
    parser.add_argument("--file", type=Path, help=f"the file; without it {_VARIABLE} names it")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser(
        "add", help="set a charge point's password, typed or as a line on standard input"
    )
    add.add_argument("identity", help="the charge point's identity, not percent-encoded")
    how = add.add_mutually_exclusive_group()
    how.add_argument("--generate", action="store_true", help="make one up and print it, once")
    how.add_argument(
        "--hex", action="store_true", help="it is hexadecimal, as OCPP 1.6's AuthorizationKey"
    )
    remove = commands.add_parser("remove", help="take a charge point out")
    remove.add_argument("identity", help="the charge point's identity, not percent-encoded")
    return parser


def _refuse(reason: str) -> int:
    sys.stderr.write(f"chargelog-ingress: {reason}\n")
    return EXIT_USAGE
