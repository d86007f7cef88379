"""A small HTTP server on 127.0.0.1 that steers a sandbox: JSON in, JSON out."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from loaders.errors import QuotemillError, UsageError

Steer = Callable[[str, str, dict[str, Any]], dict[str, object]]


class ControlServer:
    """`steer(method, route, document)` gives what is shown; a bad request becomes status 400 with what
    is wrong and what is allowed. Raises UsageError where the port is taken."""

    def __init__(self, port: int, steer: Steer) -> None:
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(steer))
        except OSError as error:
            raise UsageError(
                f"port {port} cannot be opened: {error.strerror}", hint="--port 0 picks a free one"
            ) from error
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(steer: Steer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            status = 200
            try:
                length = int(self.headers.get("Content-Length") or 0)
                document = json.loads(self.rfile.read(length) or b"{}")
                if not isinstance(document, dict):
                    raise ValueError("a JSON object is expected")
                shown = steer(self.command, self.path.strip("/"), document)
            except KeyError as error:
                status, shown = 400, {"error": f"{error.args[0]} is missing", "hint": ""}
            except (QuotemillError, ValueError, TypeError) as error:
                status, shown = 400, {"error": str(error), "hint": getattr(error, "hint", "")}
            body = json.dumps(shown).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
