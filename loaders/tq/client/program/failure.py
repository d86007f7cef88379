"""The meaning of the client's bare exceptions, by text where nothing else helps."""

import errno
import json
import traceback

AWAY = ("名称服务", "日常运维时间")  # the name service, the time of the daily maintenance
# a proxy or a certificate, in the words of every library that wraps what another one raised
BARRED = ("ProxyError", "proxy rejected", "response from proxy", "CERTIFICATE_VERIFY_FAILED")
# a full disk and the like: no servers are away
LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EMFILE)


class Failure(Exception):
    """A failure as the caller gets it.

    `kind`: auth, permission, backtests (no further one today), settlements (their host gave none),
    missing, unknown, undescribed, answer, timeout, barred (by a proxy or a certificate), transport,
    or client for any other error, which is one in the client's own code or on this machine.
    """

    def __init__(self, kind: str, message: str, symbols: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.symbols = kind, symbols or []


def classify(error: BaseException) -> Failure:
    """The failure that an exception of the client means."""
    import requests

    if isinstance(error, Failure):
        return error
    text = str(error) or type(error).__name__
    if isinstance(error, ImportError):
        return Failure("missing", text)
    if text.startswith("用户权限认证失败"):
        refused = any(f"({status}," in text for status in (400, 401, 403))
        if refused:
            return Failure("auth", text)
        return Failure("transport", f"the futures servers failed: {text}")
    if text.startswith(("快期账户", "请输入 auth")):
        return Failure("auth", text)
    if type(error).__name__ == "TqBacktestPermissionError":
        return Failure("backtests", text)
    if "不支持查看" in text or "专业版" in text or text.startswith("您的账户不支持"):
        return Failure("permission", text)
    if type(error).__name__ == "TqTimeoutError":
        return Failure("timeout", text)
    if is_barred(error):
        return Failure("barred", f"{type(error).__name__}: {text}")
    broken = requests.RequestException | OSError | json.JSONDecodeError  # the last: an error page
    is_local = isinstance(error, OSError) and (error.filename or error.errno in LOCAL)
    if not is_local and (isinstance(error, broken) or any(words in text for words in AWAY)):
        return Failure("transport", f"the futures servers failed: {type(error).__name__}: {text}")
    traceback.print_exception(error)
    return Failure("client", f"the futures client failed: {type(error).__name__}: {text}")


def is_barred(error: BaseException) -> bool:
    """Whether a proxy or a certificate is in the way: no end of a maintenance helps."""
    text = f"{type(error).__name__}: {error}"
    return any(words in text for words in BARRED)
