"""The life of a child process: ready, failed, stopped, restarted, orphaned."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from devstack.errors import StartError
from devstack.process import LocalProcess, accepts_connections, free_port

LISTENER = """
import socket, sys, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENER

WITH_GRANDCHILD = (
    """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
"""
    + LISTENER
)
PARENT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_devstack_process import WITH_GRANDCHILD, Listener
listener = Listener(Path(sys.argv[2]), WITH_GRANDCHILD).start()
if sys.argv[3]:
    listener.pause()
print(listener.pid, flush=True)
time.sleep(60)
"""


class Listener(LocalProcess):
    """A program that does nothing but listen, or whatever `code` says."""

    def __init__(self, directory: Path | None, code: str = LISTENER) -> None:
        super().__init__("Listener", directory)
        self.port = free_port()
        self.code = code

    def command(self) -> Sequence[str]:
        return (sys.executable, "-c", self.code, str(self.port))

    def is_ready(self) -> bool:
        return accepts_connections(self.port)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


def test_the_context_manager_starts_it_ready_and_leaves_nothing_behind() -> None:
    with Listener(None) as listener:
        pid = listener.pid
        assert accepts_connections(listener.port)
        assert listener.log_tail() == "listening"
    assert not alive(pid)
    assert not listener.directory.exists()


def test_a_given_directory_is_kept_with_its_log(tmp_path: Path) -> None:
    with Listener(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept" / "listener.log").read_text(encoding="utf-8") == "listening\n"


def test_a_program_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    listener = Listener(tmp_path, "import sys; print('port taken'); sys.exit(3)")
    with pytest.raises(StartError, match="exit code 3 while starting") as raised:
        listener.start()
    assert str(listener.log_path) in str(raised.value)
    assert "port taken" in str(raised.value)
    assert not listener.running


def test_a_program_that_never_gets_ready_is_killed_and_reported(tmp_path: Path) -> None:
    listener = Listener(tmp_path, "import time; time.sleep(60)")
    listener.start_timeout = 0.3
    listener.spawn()
    pid = listener.pid
    with pytest.raises(StartError, match="not ready within"):
        listener.wait_ready()
    assert not alive(pid)


def test_what_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    listener = Listener(tmp_path, STUBBORN)
    listener.stop_timeout = 0.2
    listener.start()
    pid = listener.pid
    listener.stop()
    assert not alive(pid)


def test_what_is_paused_can_be_stopped(tmp_path: Path) -> None:
    listener = Listener(tmp_path)
    listener.start()
    pid = listener.pid
    listener.pause()
    started = time.monotonic()
    listener.stop()
    assert not alive(pid)
    assert time.monotonic() - started < listener.stop_timeout / 2


def test_it_restarts_on_the_same_port_as_another_process(tmp_path: Path) -> None:
    with Listener(tmp_path) as listener:
        first = listener.pid
        listener.restart()
        assert listener.pid != first
        assert accepts_connections(listener.port)


def test_a_crash_is_seen_by_its_exit_code(tmp_path: Path) -> None:
    with Listener(tmp_path) as listener:
        os.kill(listener.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while listener.running and time.monotonic() < deadline:
            time.sleep(0.01)
        assert listener.exit_code == -signal.SIGKILL


def test_asking_the_pid_of_what_does_not_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="Listener is not running"):
        _ = Listener(tmp_path).pid


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    with Listener(tmp_path) as listener:
        assert os.getpgid(listener.pid) == listener.pid


@pytest.mark.parametrize("pause", ["", "paused"])
def test_the_child_and_its_children_end_when_the_parent_is_killed(
    tmp_path: Path, pause: str
) -> None:
    arguments = [sys.executable, "-c", PARENT, str(Path(__file__).parent), str(tmp_path), pause]
    with subprocess.Popen(  # noqa: S603 - this test's own program
        arguments, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        grandchild = int((tmp_path / "listener.log").read_text(encoding="utf-8").split()[0])
        assert alive(child)
        assert alive(grandchild)
        parent.kill()
    assert wait_gone(child)
    assert wait_gone(grandchild)
