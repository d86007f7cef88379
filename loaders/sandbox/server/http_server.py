"""A threaded HTTP server on 127.0.0.1."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from quotemill.errors import UsageError


def port_error(port: int, error: OSError) -> UsageError:
    return UsageError(
        f"cannot open port {port}: {error.strerror}", hint="Use --port 0 for any free port."
    )


class HttpServer(ThreadingHTTPServer):
    """Serves from its making until `stop`; raises UsageError if the port is taken."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler]) -> None:
        try:
            super().__init__(("127.0.0.1", port), handler)
        except OSError as error:
            raise port_error(port, error) from error
        self.port = int(self.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""
