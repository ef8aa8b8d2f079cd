"""Owns what Python code prints in a worker: text that knows which attempt wrote it, and when.

`sys.stdout` and `sys.stderr` of a worker write here. A line goes out at once if the last one went out some time ago; what
comes in a rush is gathered, and a thread sees to it that nothing stays behind for long.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from typing import Callable

#: Seconds that output may be gathered.
_GATHER_S = 0.05
_MAX_GATHERED = 32 * 1024

#: Sends a chunk: time, code of the stream, bytes.
Send = Callable[[float, str, bytes], None]


class Gathered(io.BufferedIOBase):
    """The bytes under `sys.stdout` or `sys.stderr`.

    Args:
        stream: its code, see `meson_executor.logs`.
        fd: descriptor that it stands for, which programs that a step starts may be given.
        send: where the bytes go.
    """

    def __init__(self, stream: str, fd: int, send: Send) -> None:
        super().__init__()
        self._stream = stream
        self._fd = fd
        self._send = send
        self._lock = threading.RLock()
        self._parts: list[bytes] = []
        self._size = 0
        self._since = 0.0
        self._sent = 0.0
        self._flusher: threading.Thread | None = None
        self._waiting = threading.Event()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        part = bytes(data)
        now = time.time()
        with self._lock:
            if not self._parts:
                self._since = now
            self._parts.append(part)
            self._size += len(part)
            if self._size >= _MAX_GATHERED or (now - self._sent >= _GATHER_S and part.endswith(b"\n")):
                self._send_gathered(now)
            elif not self._waiting.is_set():
                self._await_flush()
        return len(part)

    def flush(self) -> None:
        # Programs flush after every line; what a person watches is not slower for 50 ms.
        pass

    def finish(self) -> None:
        """Send what was gathered."""
        if self._parts:
            with self._lock:
                self._send_gathered(time.time())

    def _send_gathered(self, now: float) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._sent = now
            self._send(self._since, self._stream, data)

    def _await_flush(self) -> None:
        self._waiting.set()
        if self._flusher is None or not self._flusher.is_alive():
            self._flusher = threading.Thread(target=self._flush_later, name="meson-output", daemon=True)
            self._flusher.start()

    def _flush_later(self) -> None:
        pause = threading.Event()
        while True:
            self._waiting.wait()
            pause.wait(_GATHER_S)
            self._waiting.clear()
            self.finish()


def replace(send: Send) -> tuple[Gathered, Gathered]:
    """Put gathering streams in the place of `sys.stdout` and `sys.stderr`, and return them."""
    out, err = Gathered("O", 1, send), Gathered("E", 2, send)
    sys.stdout = io.TextIOWrapper(out, "utf-8", "backslashreplace", line_buffering=True, write_through=True)
    sys.stderr = io.TextIOWrapper(err, "utf-8", "backslashreplace", line_buffering=True, write_through=True)
    return out, err


def restore() -> None:
    """In a process that was forked from a worker: write to the descriptors, which the executor reads as well."""
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", line_buffering=True)
