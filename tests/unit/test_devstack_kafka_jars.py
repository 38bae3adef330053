"""The broker's jars: locked, checked, fetched once, never half."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from devstack.errors import DownloadError
from devstack.kafka_jars import KAFKA_VERSION, class_path, locked_jars

CONTENT = b"a jar"
NAMES = ("one", "two", "three")
NOWHERE = {"nowhere": "http://127.0.0.1:1"}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


class Repository(NamedTuple):
    """A Maven repository over HTTP with three jars, and the lock file that names them."""

    root: Path
    urls: dict[str, str]
    lock_file: Path
    cache: Path


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    root = tmp_path / "repository"
    for name in NAMES:
        folder = root / "org" / "example" / name / "1.0"
        folder.mkdir(parents=True)
        (folder / f"{name}-1.0.jar").write_bytes(CONTENT)
    lock_file = tmp_path / "kafka-jars.lock"
    digest = hashlib.sha256(CONTENT).hexdigest()
    lines = [f"org.example:{name}:1.0 {digest}\n" for name in NAMES]
    lock_file.write_text("# three jars\n" + "".join(lines), encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = partial(Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        urls = {"test": f"http://127.0.0.1:{server.server_port}"}
        yield Repository(root, urls, lock_file, tmp_path / "cache" / "chargelog")
        server.shutdown()
        thread.join()


def test_the_lock_holds_the_pinned_kafka_and_full_checksums() -> None:
    jars = locked_jars()
    versions = {jar.artifact: jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert versions["kafka_2.13"] == versions["kafka-clients"] == KAFKA_VERSION
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert any(jar.artifact == "log4j-slf4j-impl" for jar in jars), "else the broker logs nothing"


def test_jars_are_fetched_in_class_path_order_with_progress(repository: Repository) -> None:
    seen: list[tuple[int, int]] = []
    paths = class_path(
        lambda done, total: seen.append((done, total)),
        lock_file=repository.lock_file,
        repositories=repository.urls,
    )
    assert [path.name for path in paths] == [f"{name}-1.0.jar" for name in NAMES]
    assert all(path.read_bytes() == CONTENT for path in paths)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_the_second_time_nothing_is_fetched(repository: Repository) -> None:
    first = class_path(lock_file=repository.lock_file, repositories=repository.urls)
    assert class_path(lock_file=repository.lock_file, repositories=NOWHERE) == first


def test_another_file_than_the_locked_one_is_refused_and_not_kept(repository: Repository) -> None:
    (repository.root / "org/example/two/1.0/two-1.0.jar").write_bytes(b"another jar")
    with pytest.raises(DownloadError, match=r"two-1\.0\.jar has SHA-256 .* serves another file"):
        class_path(lock_file=repository.lock_file, repositories=repository.urls)
    assert list(repository.cache.iterdir()) == []


def test_a_network_that_fails_is_named_with_what_to_do_and_leaves_nothing(
    repository: Repository,
) -> None:
    with pytest.raises(DownloadError, match=r"\.jar could .* set KAFKA_BOOTSTRAP_SERVERS"):
        class_path(lock_file=repository.lock_file, repositories=NOWHERE)
    assert list(repository.cache.iterdir()) == []
