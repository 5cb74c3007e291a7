"""A TCP proxy through which processes reach the server: passes, stalls like a black hole, cuts."""

import contextlib
import selectors
import socket
import threading

#: Bytes that are moved at once.
PIECE = 65536
#: Bytes that wait for a peer that does not read; beyond them its partner is not read either.
WAITING = 4 * PIECE


class Proxy:
    """Listens on a port of 127.0.0.1 and forwards to `target`, in a thread of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._stalled = False
        self._peers: dict[socket.socket, socket.socket] = {}
        #: What is still to be written to a socket.
        self._rest: dict[socket.socket, bytearray] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    @property
    def connections(self) -> int:
        return len(self._peers) // 2

    def stall(self) -> None:
        """From now on nothing is forwarded; connections stay open and new ones are taken."""
        with self._lock:
            self._stalled = True
        self._wake.send(b"!")

    def go_on(self) -> None:
        """Forwards again, what came meanwhile first."""
        with self._lock:
            self._stalled = False
        self._wake.send(b"!")

    def cut(self) -> None:
        """Closes every connection."""
        with self._lock:
            while self._peers:
                self._close(next(iter(self._peers)))

    def close(self) -> None:
        self._ended = True
        self._wake.send(b"!")
        self._thread.join()
        self.cut()
        for end in (self._listener, self._wake, self._woken):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._ended:
            ready = self._selector.select()
            with self._lock:
                for key, events in ready:
                    side = key.fileobj
                    assert isinstance(side, socket.socket)
                    if side is self._listener:
                        self._accept()
                    elif side is self._woken:
                        with contextlib.suppress(BlockingIOError):
                            self._woken.recv(PIECE)
                    elif side in self._peers:  # not closed with its partner just now
                        self._serve(side, events)
                for side in list(self._peers):
                    self._watch(side)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=1.0)
            except OSError:
                client.close()  # as a server that is down would refuse it
                return
            for side, partner in ((client, server), (server, client)):
                side.setblocking(False)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._peers[side] = partner
                self._rest[side] = bytearray()
                self._selector.register(side, selectors.EVENT_READ)

    def _serve(self, side: socket.socket, events: int) -> None:
        if self._stalled:
            return
        partner = self._peers[side]
        try:
            if events & selectors.EVENT_WRITE and self._rest[side]:
                del self._rest[side][: side.send(self._rest[side])]
            if events & selectors.EVENT_READ:
                data = side.recv(PIECE)
                if not data:
                    self._close(side)
                    return
                self._rest[partner] += data
                del self._rest[partner][: partner.send(self._rest[partner])]
        except BlockingIOError:
            return
        except OSError:
            self._close(side)

    def _watch(self, side: socket.socket) -> None:
        """Waits for what can be done now; while stalled for nothing."""
        events = 0
        if not self._stalled:
            if len(self._rest[self._peers[side]]) < WAITING:
                events |= selectors.EVENT_READ
            if self._rest[side]:
                events |= selectors.EVENT_WRITE
        known = self._selector.get_map().get(side)
        if known is None and events:
            self._selector.register(side, events)
        elif known is not None and not events:
            self._selector.unregister(side)
        elif known is not None and known.events != events:
            self._selector.modify(side, events)

    def _close(self, side: socket.socket) -> None:
        for end in (side, self._peers[side]):
            with contextlib.suppress(KeyError):
                self._selector.unregister(end)
            end.close()
            del self._peers[end], self._rest[end]
