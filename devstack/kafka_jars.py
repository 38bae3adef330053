"""The jars of the Kafka broker: which ones, fetched once, checked, kept in the user's cache.

`kafka-jars.lock` beside this file names every jar with its SHA-256, so that a download is the same
everywhere and needs no dependency resolution. `python -m devstack.kafka_jars` writes it anew after
a change of `KAFKA_VERSION`.
"""

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, NamedTuple

import jgo
import requests
from jgo.maven import MavenContext

from devstack.errors import DownloadError
from runtime.cache import cache_directory

KAFKA_VERSION: Final = "4.1.1"
_LOG4J_VERSION: Final = "2.24.3"
"""The one Kafka is built with. Its distribution adds the slf4j binding, which the POM lacks."""

LOCK_FILE: Final = Path(__file__).with_name("kafka-jars.lock")
_PARALLEL_DOWNLOADS: Final = 8
_ATTEMPTS: Final = 3

Progress = Callable[[int, int], None]
"""Called with (jars fetched, jars in all)."""


class Jar(NamedTuple):
    """One locked jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the repository and in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """The jars of the lock file, in class path order."""
    jars = []
    for line in lock_file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            coordinate, digest = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, digest))
    return jars


def class_path(
    progress: Progress | None = None,
    *,
    lock_file: Path = LOCK_FILE,
    repositories: dict[str, str] | None = None,
) -> list[Path]:
    """The jars' paths, fetched first where this user has not got them.

    Args:
        progress: Told about each jar that is fetched.
        lock_file: Names the jars.
        repositories: Maven repositories, name to URL; jgo's default where none are given.

    Raises:
        DownloadError: The network fails, or a jar is not the locked one.
    """
    jars = locked_jars(lock_file)
    digest = hashlib.sha256(lock_file.read_bytes()).hexdigest()[:12]
    home = cache_directory() / f"kafka-{KAFKA_VERSION}-{digest}"
    if not home.exists():
        _fetch(jars, home, repositories, progress or (lambda _done, _all: None))
    return [home / jar.file_name for jar in jars]


def _fetch(
    jars: list[Jar], home: Path, repositories: dict[str, str] | None, progress: Progress
) -> None:
    # Into a directory beside the final one, renamed at the end: an interrupted download leaves
    # nothing that looks complete, and two processes may fetch at the same time.
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as name:
        staging = Path(name)
        ready = staging / "jars"
        ready.mkdir()
        maven = MavenContext(repo_cache=staging / "repository", remote_repos=repositories)
        with ThreadPoolExecutor(_PARALLEL_DOWNLOADS) as pool:
            futures = [pool.submit(_fetch_one, maven, jar, ready) for jar in jars]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    progress(done, len(jars))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        try:
            ready.rename(home)
        except OSError:
            if not home.exists():  # else another process was quicker: same locked jars
                raise


def _fetch_one(maven: MavenContext, jar: Jar, ready: Path) -> None:
    artifact = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    repository_path = maven.repo_cache / artifact.component.path_prefix / jar.file_name
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = artifact.resolve()
            break
        except (requests.RequestException, RuntimeError) as error:
            # jgo writes straight to the final name: what a broken download left is no jar.
            repository_path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise DownloadError(
                    f"{jar.file_name} could not be fetched ({error}); check the network or the "
                    "proxy settings, or set KAFKA_BOOTSTRAP_SERVERS to use an existing Kafka"
                ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise DownloadError(
            f"{jar.file_name} has SHA-256 {digest}, the lock file says {jar.sha256}: the "
            "repository or a proxy serves another file"
        )
    shutil.move(path, ready / jar.file_name)


def write_lock(lock_file: Path = LOCK_FILE) -> int:
    """Resolve `KAFKA_VERSION` and write the lock file; returns the number of jars."""
    # "!": without it jgo applies log4j's own dependency management to Kafka's jars as well and
    # picks kafka-clients 3.8.
    artifacts = jgo.resolve(
        f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
        f"+org.apache.logging.log4j:log4j-slf4j-impl:{_LOG4J_VERSION}!"
    )
    lines = [
        f"{a.groupId}:{a.artifactId}:{a.version} "
        f"{hashlib.sha256(a.resolve().read_bytes()).hexdigest()}"
        for a in artifacts
    ]
    head = f"# Jars of Apache Kafka {KAFKA_VERSION}; written by python -m devstack.kafka_jars"
    lock_file.write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return len(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{write_lock()} jars locked in {LOCK_FILE}\n")
