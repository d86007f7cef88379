"""The port that steers a sandbox: JSON in, JSON out."""

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from loaders.sandbox.server.http_server import HttpServer
from quotemill.errors import QuotemillError

Document = dict[str, Any]
Steer = Callable[[str, str, Document], dict[str, object]]


def open_control_port(port: int, steer: Steer) -> HttpServer:
    """Open a port whose answers are those of `steer(method, route, document)`.

    A bad request gets status 400. Raises UsageError if the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
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

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    return HttpServer(port, Handler)
