"""A TCP proxy that can turn into a black hole: connections stay open, and nothing comes through any more."""

import contextlib
import socket
import threading


class BlackHole:
    """Stands before *port*; ``up`` and ``down`` say whether bytes pass to the daemon and to the client."""

    def __init__(self, port):
        self.up = self.down = True
        self.refuse = False
        self._port, self._open = port, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"hild://127.0.0.1:{self.port}"

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            daemon = socket.create_connection(("127.0.0.1", self._port))
            self._open += [client, daemon]
            threading.Thread(target=self._pump, args=(client, daemon, "up"), daemon=True).start()
            threading.Thread(target=self._pump, args=(daemon, client, "down"), daemon=True).start()

    def _pump(self, source, sink, way):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if getattr(self, way):
                    sink.sendall(data)
        if getattr(self, way):
            with contextlib.suppress(OSError):
                sink.close()

    def close(self):
        """End all connections."""
        self._listener.close()
        for end in self._open:
            with contextlib.suppress(OSError):
                end.close()

    def __enter__(self):
        return self

    def __exit__(self, *how):
        self.close()
