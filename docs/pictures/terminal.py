"""A command in a terminal, and what can be seen there."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

COLUMNS: Final = 104


class Terminal:
    """*command* in a pseudo-terminal, which is read all the time: a full one would hold the command up.

    It begins at once; the end of `with` is Ctrl-C, where it still runs.
    """

    def __init__(self, command: str, folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, COLUMNS))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._process = subprocess.Popen(
            command.split(),
            cwd=folder,
            env=os.environ | {"PATH": path, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self._printed = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        self.end()

    def _read(self) -> None:
        try:
            while chunk := os.read(self._ours, 65536):
                self._printed += chunk
        except OSError:  # how a pseudo-terminal says that nobody writes to it any more
            os.close(self._ours)

    def until(self, last: str) -> str:
        """Wait for the text *last*, and return what can be seen up to its end; SystemExit if the command ends before."""
        while last not in (printed := self._printed.decode(errors="replace")):
            if self._process.poll() is not None:
                raise SystemExit(visible(printed))
            time.sleep(0.1)  # it is at work
        return visible(printed.partition(last)[0] + last)

    def end(self) -> str:
        """Wait for the command's end, and return what can be seen."""
        self._process.wait()
        self._reader.join()
        return visible(self._printed.decode(errors="replace"))


def visible(printed: str) -> str:
    """Return the lines that stay in view, without those that were erased, such as progress bars; tokens are masked."""
    kept = re.sub(r"[^\n]*\n(\x1b\[\?25h)?\r\x1b\[1A\x1b\[2K", "", printed)
    return re.sub(r"eyJ[\w.-]+", "********", kept).replace("\r\n", "\n").strip("\n")
