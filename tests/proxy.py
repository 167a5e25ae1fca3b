"""A TCP proxy in front of a real Neo4j that can be slow, and can cut a connection at a chosen message."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import Self

COMMIT = b"\x00\x02\xb0\x12\x00\x00"  # Bolt's message, as it goes over the wire


class Cut(Exception):
    """Cut this connection: before a piece reaches the server, or after the server has answered it (an answer that the client never sees)."""

    def __init__(self, *, answered: bool) -> None:
        self.answered = answered


class Proxy:
    """Passes bytes on between clients and `uri`.

    delay    seconds that each piece of a client's waits
    find     says where the server is now
    on_sent  sees each piece of a client's before it is passed on, and may raise Cut
    """

    def __init__(self, uri: str, *, delay: float = 0.0, on_sent: Callable[[bytes], None] = lambda _: None) -> None:
        self.find, self.delay, self.on_sent = (lambda: uri), delay, on_sent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"bolt://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pairs: list[Pair] = []

    def __enter__(self) -> Self:
        Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        close(self.listener)
        for pair in self.pairs:
            pair.close()

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                host, _, port = self.find().removeprefix("bolt://").rpartition(":")
                try:
                    server = socket.create_connection((host, int(port)))
                except OSError:  # it is down
                    close(client)
                    continue
                self.pairs.append(Pair(self, client, server))


class Pair:
    """One connection of a client, and the one made for it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.muted, self.answered = False, Event()
        for work in (self.forward, self.back):
            Thread(target=work, daemon=True).start()

    def forward(self) -> None:
        with suppress(OSError):
            while piece := self.client.recv(1 << 16):
                time.sleep(self.proxy.delay)
                try:
                    self.proxy.on_sent(piece)
                except Cut as cut:
                    if cut.answered:
                        self.muted = True
                        self.server.sendall(piece)
                        self.answered.wait(60)
                    break
                self.server.sendall(piece)
        self.close()

    def back(self) -> None:
        with suppress(OSError):
            while piece := self.server.recv(1 << 16):
                if self.muted:
                    self.answered.set()
                else:
                    self.client.sendall(piece)
        self.close()

    def close(self) -> None:
        close(self.client)
        close(self.server)


def close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
