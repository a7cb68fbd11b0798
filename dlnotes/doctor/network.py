"""Whether the internet is there: directly, by name, and through the proxy that the variables name.

A connection is opened to a public name server and closed again; nothing is asked for. A proxy is asked to do the same, with the
user and password that its variable holds, and those are never shown.
"""

import base64
import os
import socket
import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from dlnotes import platforms

from .report import Finding

__all__ = ["internet"]

PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
ADDRESSES = (("1.1.1.1", 443), ("223.5.5.5", 443))                                  # name servers of two continents, by number


def internet(address: tuple[str, int] | None = None, timeout: float = 2.0, name: str = "pytorch.org") -> Iterator[Finding]:
    """Whether another machine answers, directly and through the proxy of each variable; whether names are found.

    Nothing is asked for beyond the connection. The password that a proxy may carry is not shown.
    """
    addresses = ADDRESSES if address is None else (address,)
    proxies: dict[str, list[str]] = {}
    for variable in PROXIES:
        if os.environ.get(variable):
            proxies.setdefault(os.environ[variable], []).append(variable)
    works = False
    for proxy, variables in proxies.items():
        shown, trouble = _proxy(proxy, addresses[0], timeout)
        if trouble is None:
            works = True
            yield Finding("good", "proxy", f"{' and '.join(variables)}: {shown} leads outside")
        else:
            yield Finding("warning", "proxy", f"{' and '.join(variables)}: {shown} {trouble}",
                          f"unset {' '.join(variables)}, or correct the address, then start the kernel again")
    if any(_answers(place, timeout) for place in addresses):
        if address is None and not works and not _resolves(name, timeout):
            yield Finding("warning", "internet", f"reachable by number, but the name {name} is not found",
                          "set a name server, in /etc/resolv.conf")
        else:
            yield Finding("good", "internet", "reachable directly")
    elif works:
        yield Finding("good", "internet", "reachable through the proxy only")
    else:
        cure = {"kaggle": "; switch it on in the notebook's settings (a verified account is needed)"}.get(platforms.detect().name, "")
        yield Finding("note", "internet", f"not reachable: shipped data and weights work, downloads do not{cure}")


def _answers(address: tuple[str, int], timeout: float) -> bool:
    try:
        socket.create_connection(address, timeout=timeout).close()
        return True
    except OSError:
        return False


def _resolves(name: str, timeout: float) -> bool:
    """Whether a name has an address; the system's own question has no time limit, so it is asked aside."""
    found: list[bool] = []

    def ask() -> None:
        try:
            found.append(bool(socket.getaddrinfo(name, 443)))
        except OSError:
            pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(found)


def _proxy(proxy: str, goal: tuple[str, int], timeout: float) -> tuple[str, str | None]:
    """The proxy's address without its password, and what is wrong with it, if anything."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    secret = "***@" if "@" in parts.netloc else ""
    shown = f"{parts.scheme}://{secret}{parts.netloc.rpartition('@')[2]}"
    try:
        place = (parts.hostname or "", parts.port or {"https": 443, "socks5": 1080, "socks5h": 1080}.get(parts.scheme, 80))
    except ValueError:
        return shown, "is no address of the form http://host:port"
    if not place[0]:
        return shown, "is no address of the form http://host:port"
    try:
        with socket.create_connection(place, timeout=timeout) as line:
            if parts.scheme != "http":                              # TLS or SOCKS: that it listens has to do
                return shown, None
            login = ""
            if secret:
                user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
                login = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n"
            line.settimeout(timeout)
            line.sendall(f"CONNECT {goal[0]}:{goal[1]} HTTP/1.1\r\nHost: {goal[0]}:{goal[1]}\r\n{login}\r\n".encode())
            status = line.recv(200).decode("latin1").splitlines()[:1]
    except OSError as error:
        return shown, f"does not answer ({error.strerror or error})"
    code = status[0].split()[1:2] if status else []
    if code == ["200"]:
        return shown, None
    if code == ["407"]:
        return shown, "asks for another user and password"
    return shown, f"answers, but leads nowhere ({' '.join(status[0].split()[1:]) if status else 'nothing said'})"
