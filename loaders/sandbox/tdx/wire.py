"""Requests and answers of the service: Go's JSON, codes, texts."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime

JSON_TYPE = "application/json; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
ZIP_TYPE = "application/zip"

CODE_LENGTH = "股票代码长度错误,例如:SZ000001"
CODE_PREFIX = "股票代码错误,例如:SZ000001"
THS_ERROR = "获取前复权数据失败: "
CODE_THS = "股票代码错误,例如:SZ000001或000001"
TIMED_OUT = "超时"
CONNECTION_LOST = (
    "write tcp 172.18.0.2:40118->110.41.147.114:7709: use of closed network connection"
)


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    params: dict[str, str]
    body: bytes = b""

    def raw(self, name: str) -> str:
        return self.params.get(name, "")

    def trimmed(self, name: str) -> str:
        return self.params.get(name, "").strip()

    def required(self, name: str, message: str, *, trim: bool = False) -> str:
        value = self.trimmed(name) if trim else self.raw(name)
        if not value:
            raise BadRequest(message)
        return value


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    # effects on the connection instead of, or while, sending the body
    reset: bool = False
    hang: bool = False
    cut_at: float | None = None
    # seconds without a listener afterwards; whether the process restarts
    closed_for: float | None = None
    restart: bool = False


class ServiceError(Exception):
    """An error the service reports itself: HTTP 200, code -1, this message."""


class BadRequest(ServiceError):
    """An error in the request itself, without the text that a route puts in front."""


class UpstreamTimeout(ServiceError):
    """The quote server did not answer in time; the answer is two seconds late."""


class EmptyBody(Exception):
    """The answer holds a value JSON cannot carry: HTTP 200 and nothing else."""


def go_json(value: object) -> bytes:
    """JSON as Go's encoder writes it: compact, raw UTF-8, `<`, `>`, `&` escaped."""
    text = json.dumps(_numbers(value), ensure_ascii=False, separators=(",", ":"))
    for char, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(char, escaped)
    return text.encode()


def _numbers(value: object) -> object:
    """Go prints a float without a fraction as an integer."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(item) for item in value]
    return value


def success(data: bytes) -> bytes:
    return b'{"code":0,"message":"success","data":' + data + b"}\n"


def failure(message: str) -> bytes:
    return b'{"code":-1,"message":' + go_json(message) + b',"data":null}\n'


NO_CODE, CODE_REQUIRED = "股票代码不能为空", "code 为必填参数"
ZERO_FLOAT = 5.877471754111438e-39  # what the service's float decoder makes of 0

_INTEGER = re.compile(r"[+-]?[0-9]+\Z")


def atoi(text: str) -> int | None:
    return int(text) if _INTEGER.match(text) else None


def parse_limit(text: str) -> int | None:
    """`limit` of the bulk routes; anything but a positive number means no limit."""
    number = atoi(text)
    return number if number and number > 0 else None


def parse_day(text: str) -> date | None:
    """YYYYMMDD or YYYY-MM-DD."""
    for form, pattern in (("%Y%m%d", r"\d{8}\Z"), ("%Y-%m-%d", r"\d{4}-\d\d-\d\d\Z")):
        if re.match(pattern, text):
            try:
                return datetime.strptime(text, form).date()
            except ValueError:
                return None
    return None


_EXPANSIONS = (
    (("6", "510", "511", "512", "513", "515"), "sh"),
    (("0", "30", "159"), "sz"),
    (("8", "92", "43"), "bj"),
)


def expand_code(text: str) -> str:
    """Lower-case code; six digits get the exchange that the service guesses."""
    code = text
    if len(code) == 6:
        for starts, exchange in _EXPANSIONS:
            if code.startswith(starts):
                code = exchange + code
                break
    if len(code) != 8:
        raise ServiceError(CODE_LENGTH)
    if code[:2].lower() not in ("sh", "sz", "bj"):
        raise ServiceError(CODE_PREFIX)
    return code.lower()


def ths_digits(text: str) -> str:
    """The six digits, which are all that the third-party source reads."""
    if len(text) not in (6, 8):
        raise ServiceError(THS_ERROR + CODE_THS)
    return text[-6:]


def is_stock(exchange: str, digits: str) -> bool:
    starts = {"sh": ("6",), "sz": ("0", "30"), "bj": ("92", "43", "8")}
    return digits.startswith(starts[exchange])


def is_etf(exchange: str, digits: str) -> bool:
    starts = {"sh": ("51", "56", "58"), "sz": ("15", "16"), "bj": ()}
    return digits.startswith(starts[exchange])
