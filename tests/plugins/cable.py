"""A cable to a server that can be cut: what is sent is taken and goes nowhere, and nobody hangs up."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Thread


class Cable:
    """Leads from a port of this host to a server's socket.

    port  where the near end is
    """

    def __init__(self, far_end: str) -> None:
        self._far_end = far_end
        self._whole = Event()
        self._whole.set()
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Carry nothing from now on, in either direction, not even that an end was closed."""
        self._whole.clear()

    def mend(self) -> None:
        """Carry again, beginning with what was sent meanwhile."""
        self._whole.set()

    def close(self) -> None:
        self.mend()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                near, _ = self._listener.accept()
                Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self._whole.wait()
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._far_end)
        self._ends += [near, far]
        for source, target in ((near, far), (far, near)):
            Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # an end was closed
            while data := source.recv(65536):
                self._whole.wait()
                target.sendall(data)
        self._whole.wait()
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
