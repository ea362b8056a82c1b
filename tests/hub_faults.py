"""The HTTP side of the loopback Hub: requests, answers, and the faults that a test puts between them."""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Request:
    """One request as the Hub saw it; `answered` is the status sent back, "drop" or "lost"."""

    method: str
    path: str  # still percent-encoded: a revision such as refs%2Fpr%2F1 is one segment
    headers: dict[str, str]  # names in lower case
    query: dict[str, list[str]]
    body: bytes = b""
    answered: int | str = 0

    @property
    def token(self) -> str | None:
        return self.headers.get("authorization", "").removeprefix("Bearer ") or None

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def ok(content: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(content).encode())


class HubError(Exception):
    """A refusal in the Hub's own form: the client library tells its cases apart by the X-Error-Code header."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        self.answer = ok({"error": message}, status)
        self.answer.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.answer.headers |= {name.replace("_", "-"): value for name, value in headers.items()}


FaultKind = Literal["drop", "lost", "slow", "flip"]


@dataclass
class Fault:
    """Spoils the next `times` requests that match.

    status: an HTTP status to answer with; "drop" cuts the connection in the middle of the body (of the request if it
    has one, else of the answer); "lost" does the work and cuts the connection before the answer; "slow" answers after
    `seconds`; "flip" changes one bit of the request's body on its way.
    """

    method: str
    path: re.Pattern[str]
    status: int | FaultKind
    times: int
    headers: dict[str, str]
    seconds: float = 0.0

    def matches(self, request: Request) -> bool:
        return self.times > 0 and request.method == self.method and self.path.search(request.path) is not None

    def answer(self) -> Answer:
        # Load balancers answer for a Hub that is down, and they speak HTML, not JSON.
        return Answer(int(self.status), b"<html>out of order</html>", {"Content-Type": "text/html", **self.headers})


def route(methods: str, pattern: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Marks the method of a FaultyServer that answers these HTTP methods on this path.

    It gets the request, and by name the groups of the pattern, decoded; a group that took no part is "".
    """

    def mark(function: Callable[..., Answer]) -> Callable[..., Answer]:
        function.route = (methods.split(), re.compile(pattern))  # type: ignore[attr-defined]
        return function

    return mark


class FaultyServer(ThreadingHTTPServer):
    """Serves the routes of a subclass on a free loopback port, keeps a log, and misbehaves on demand."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.requests: list[Request] = []
        self._faults: list[Fault] = []
        self._routes = [f for f in vars(type(self)).values() if hasattr(f, "route")]
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.shutdown()
        self.server_close()

    def check(self, request: Request) -> None:
        """Raises HubError for a request that no route may answer."""

    def answer(self, request: Request) -> Answer:
        try:
            self.check(request)
            for function in self._routes:
                methods, pattern = function.route
                if request.method in methods and (match := pattern.fullmatch(request.path)):
                    names = {name: unquote(value) for name, value in match.groupdict(default="").items()}
                    with self._lock:  # one at a time: a commit is seen by everyone or by no one
                        return function(self, request, **names)
            raise HubError(404, "Sorry, we can't find the page you are looking for.", "RepoNotFound")
        except HubError as error:
            return error.answer

    def fail(
        self,
        method: str,
        path_regex: str,
        status: int | FaultKind = 500,
        times: int = 1,
        headers: dict[str, str] | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Spoil the next `times` requests whose method is `method` and whose path holds `path_regex`."""
        self._faults.append(Fault(method, re.compile(path_regex), status, times, headers or {}, seconds))

    def seen(self, method: str, path_regex: str) -> list[Request]:
        """The requests of the log whose method is `method` and whose path holds `path_regex`."""
        return [r for r in self.requests if r.method == method and re.search(path_regex, r.path)]

    def take_fault(self, request: Request) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.matches(request):
                    fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's delayed ACK of its headers
    server: FaultyServer

    def _serve(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, url.path, headers, parse_qs(url.query))
        self.server.requests.append(request)
        fault = self.server.take_fault(request)
        size = int(headers.get("content-length", 0))
        if fault and fault.status == "drop" and size:
            self.rfile.read(size // 2)
            return self._hang_up(request, "drop")
        request.body = self.rfile.read(size)
        if fault and fault.status == "slow":
            time.sleep(fault.seconds)
        if fault and fault.status == "flip":
            request.body = bytes([request.body[0] ^ 1]) + request.body[1:]
        answer = fault.answer() if fault and isinstance(fault.status, int) else self.server.answer(request)
        if fault and fault.status == "lost":
            return self._hang_up(request, "lost")
        request.answered = answer.status
        self.send_response(answer.status)
        for name, value in ({"Content-Type": "application/json"} | answer.headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if fault and fault.status == "drop":
            self.wfile.write(answer.body[: len(answer.body) // 2])
            return self._hang_up(request, "drop")
        if request.method != "HEAD":
            self.wfile.write(answer.body)

    def _hang_up(self, request: Request, answered: str) -> None:
        request.answered = answered
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """The log is `requests`; nothing goes to stderr."""
