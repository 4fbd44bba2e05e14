"""Fetches pictures from their web addresses: a few at a time, patient, within limits, and going on where it stopped."""

import hashlib
import os
import queue
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from llmrec import __version__
from llmrec.errors import LlmrecError
from llmrec.pictures import picture_fault
from llmrec.progress import Progress

USER_AGENT = f"llmrec-data-builder/{__version__} (pictures for research; a few at a time)"
LARGEST = 10 * 2**20
LONGEST_WAIT = 60.0
GONE = ".gone"  # beside where a picture would be: why it will never come


@dataclass(frozen=True)
class Manners:
    """How to behave towards a server."""

    at_once: int = 4
    timeout: float = 20.0
    tries: int = 4
    first_wait: float = 1.0
    patience: int = 25
    """Failures in a row after which the server is left alone."""


@dataclass
class Fetched:
    """The pictures by their key, and how often what went wrong."""

    pictures: dict[str, Path] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)


def fetch(
    addresses: Mapping[str, str], cache: Path, manners: Manners = Manners(), progress: Progress | None = None
) -> Fetched:
    """Fetch each key's picture into `cache`; what is there, or known to be gone, is not asked for again."""
    cache.mkdir(parents=True, exist_ok=True)
    result = Fetched()
    places = {address: _place(cache, address) for address in dict.fromkeys(addresses.values())}
    wanted = [address for address, place in places.items() if not (place.exists() or _reason(place).exists())]
    faults = _fetch_all(wanted, places, manners, progress)
    for key, address in addresses.items():
        place = places[address]
        if place.exists():
            result.pictures[key] = place
        else:
            result.faults[_reason(place).read_text() if _reason(place).exists() else faults[address]] += 1
    return result


def _fetch_all(
    wanted: Iterable[str], places: Mapping[str, Path], manners: Manners, progress: Progress | None
) -> dict[str, str]:
    """Fetch with a few threads; returns why an address failed that may work another time."""
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    for address in wanted:
        work.put(address)
    total = work.qsize()
    faults: dict[str, str] = {}
    lock = threading.Lock()
    stop = threading.Event()
    done = in_a_row = 0
    unforeseen: list[BaseException] = []

    def keep_fetching() -> None:
        nonlocal done, in_a_row
        while not stop.is_set():
            try:
                address = work.get_nowait()
            except queue.Empty:
                return
            try:
                fault = _fetch_one(address, places[address], manners, stop)
            except BaseException as error:  # a full disk, say: told by the thread that waits
                unforeseen.append(error)
                stop.set()
                return
            with lock:
                done += 1
                in_a_row = in_a_row + 1 if fault else 0
                if fault:
                    faults[address] = fault
                if in_a_row >= manners.patience:
                    stop.set()
                if progress:
                    progress("fetching pictures", done, total)

    threads = [threading.Thread(target=keep_fetching, daemon=True) for _ in range(min(manners.at_once, total))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        stop.set()
    if unforeseen:
        raise unforeseen[0]
    if in_a_row >= manners.patience:
        last = list(faults.values())[-1]
        raise LlmrecError(
            f"{in_a_row} pictures in a row could not be fetched (the last one: {last}). What was fetched is kept. "
            "Check the network and run the same command again: it goes on from here"
        )
    return faults


def _fetch_one(address: str, place: Path, manners: Manners, stop: threading.Event) -> str | None:
    """Fetch one picture; returns why not, where another time may help. What will never come is noted on the disk."""
    if not address.lower().startswith(("http://", "https://")):
        _gone(place, "is not a web address")
        return None
    wait = manners.first_wait
    fault = ""
    for attempt in range(manners.tries):
        if attempt and stop.wait(wait):
            return "was interrupted"
        wait = min(2 * wait, LONGEST_WAIT)
        try:
            request = urllib.request.Request(address, headers={"User-Agent": USER_AGENT, "Accept": "image/*"})
            with _opener().open(request, timeout=manners.timeout) as answer:
                content = _within_limits(answer, manners.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in (408, 425, 429) and error.code < 500:
                _gone(place, f"answered {error.code}")
                return None
            fault = f"answered {error.code}"
            asked = error.headers.get("Retry-After", "")
            if asked.isdigit():
                wait = min(float(asked), LONGEST_WAIT)
            continue
        except (OSError, HTTPException) as error:
            fault = f"cannot be reached ({getattr(error, 'reason', None) or type(error).__name__})"
            continue
        except ValueError:  # an address that only looks like one
            _gone(place, "is not a web address")
            return None
        if content is None:
            _gone(place, f"is larger than {LARGEST // 2**20} MiB")
            return None
        if broken := picture_fault(content):
            _gone(place, broken)
            return None
        partial = place.with_suffix(f".partial-{os.getpid()}-{threading.get_ident()}")
        partial.write_bytes(content)
        partial.replace(place)
        return None
    return fault


def _within_limits(answer: object, timeout: float) -> bytes | None:
    """Read an answer, unless it is too large; one that drips in for ever counts as too slow."""
    parts: list[bytes] = []
    size = 0
    until = time.monotonic() + 3 * timeout
    while part := answer.read1(2**16):  # type: ignore[attr-defined]
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            return None
        if time.monotonic() > until:
            raise TimeoutError("too slow")
    if (said := answer.headers.get("Content-Length", "")).isdigit() and size < int(said):  # type: ignore[attr-defined]
        raise ConnectionError("the answer was cut short")
    return b"".join(parts)


def _opener() -> urllib.request.OpenerDirector:
    """HTTP and HTTPS with redirects, and nothing else: no address, and no redirect, opens a file or FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _place(cache: Path, address: str) -> Path:
    name = hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    (cache / name[:2]).mkdir(exist_ok=True)
    return cache / name[:2] / f"{name}.picture"


def _reason(place: Path) -> Path:
    return place.with_suffix(GONE)


def _gone(place: Path, why: str) -> None:
    _reason(place).write_text(why)
