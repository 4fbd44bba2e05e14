"""What the doctor finds: one line each, with what to do; a look that fails is a finding itself."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    area: str
    what: str
    verdict: Verdict
    seen: str
    remedy: str = ""


Look = Callable[[], Iterable[Finding]]


def looked(area: str, what: str, look: Look) -> Iterator[Finding]:
    """What a look finds; whatever it raises is a fault that names the error."""
    try:
        yield from look()
    except (Exception, SystemExit) as error:  # a broken package may raise anything
        yield Finding(area, what, "fault", f"this look failed: {named(error)}", "Tell us: it should find a reason")


def named(error: BaseException) -> str:
    """An error in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
