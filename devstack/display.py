"""What the demo and `run` show: progress on stderr, MQTT messages and the summary on stdout."""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text


class Steps:
    """Shows each step of setting up: live in a terminal, else a line when it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def report(self, step: str, done: int, total: int) -> None:
        """Show how far a step is; the first call begins it, `done == total` ends it."""
        began = self._began.setdefault(step, time.monotonic())
        if not self._console.is_terminal:
            if done == total:
                self._console.print(f"{step}: {time.monotonic() - began:.1f} s")
            return
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()


def print_message(console: Console, topic: str, payload: bytes) -> None:
    """One MQTT message on one line: topic, then payload (as `mosquitto_sub -v` prints it)."""
    # Whatever bytes came: shown, never interpreted as markup or control characters.
    text = payload.decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    console.print(Text.assemble((topic, "bold cyan"), " ", shown), soft_wrap=True)
