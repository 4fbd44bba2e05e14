"""Folders and files that are whole or absent: written beside their final name and renamed when they are done."""

import errno
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmrec.errors import DiskFull, InputError

log = logging.getLogger(__name__)


@contextmanager
def staged(out: Path, *, marker: str, holds: Collection[str] = (), overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder that becomes `out` when the block ends well, and vanishes when it does not.

    `marker` is the file that every folder of this kind holds, such as `dataset.json`, and `holds` is what else may be
    in it: only a folder that has the one and nothing but the others is ever replaced, so that a mistyped `--out
    --overwrite`, or notes that somebody left in a dataset, cost nobody a file.
    """
    out = Path(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _tidy(out)
        _refuse_existing(out, marker, holds, overwrite)
        partial = out.parent / f".{out.name}.partial-{os.getpid()}"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
    except OSError as error:
        raise _explained(error, out) from error
    try:
        yield partial
        _publish(partial, out, marker)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if _is_full(error):
            raise _full(out) from error
        raise


@contextmanager
def staged_file(out: Path, *, mark: str) -> Iterator[Path]:
    """Yield a path beside `out` that takes its place when the block ends well.

    A file that is there already is replaced only when it begins as ours do, with `mark` among its first characters.
    """
    out = Path(out)
    if out.is_dir():
        raise InputError(f"{out} is a folder. Give --out the name of a file")
    if out.exists() and mark.encode() not in out.open("rb").read(2_000):
        raise InputError(f"{out} exists and was not written by llmrec, so it is not replaced. Choose another --out")
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        partial.touch()
    except OSError as error:
        raise _explained(error, out) from error
    try:
        yield partial
        partial.replace(out)
    except Exception as error:
        partial.unlink(missing_ok=True)  # before the free space is told
        if _is_full(error):
            raise _full(out) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object with stable layout, flushed to the disk."""
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_json(folder: Path, marker: str, *, kind: str, remedy: str) -> dict[str, Any]:
    """Read the JSON object that describes a folder, or say why the folder is not one of its kind."""
    path = Path(folder) / marker
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        seen = "has no " + marker if Path(folder).is_dir() else "does not exist"
        raise InputError(f"{folder} {seen}, so it is not {kind}. {remedy}") from None
    except NotADirectoryError:
        raise InputError(f"{folder} is a file, so it is not {kind}. {remedy}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its permissions") from error
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}). {remedy}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}, not a JSON object. {remedy}")
    return content


def _refuse_existing(out: Path, marker: str, holds: Collection[str], overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise InputError(f"{out} already exists. Choose another --out, or pass --overwrite to replace it")
    if not (out / marker).is_file():
        raise InputError(
            f"{out} has no {marker}, so llmrec did not make it and will not replace it. Choose another --out"
        )
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in {marker, *holds})
    if foreign:
        raise InputError(
            f"{out} holds what llmrec did not put there ({', '.join(foreign[:3])}{' …' if len(foreign) > 3 else ''}), "
            "and replacing it would remove that too. Move it away, or choose another --out"
        )


def _publish(partial: Path, out: Path, marker: str) -> None:
    old = out.parent / f".{out.name}.old-{os.getpid()}"
    replaced = (out / marker).is_file()
    if replaced:
        out.rename(old)
    try:
        partial.rename(out)
    except OSError as error:
        if replaced:
            old.rename(out)
        raise _explained(error, out) from error
    shutil.rmtree(old, ignore_errors=True)


def _tidy(out: Path) -> None:
    """Clear what killed runs left: half-made folders go, and a replaced folder that was not yet replaced comes back."""
    for left in sorted(out.parent.glob(f".{out.name}.old-*")):
        if not _alive(left):
            if out.exists():
                shutil.rmtree(left)
            else:
                left.rename(out)
                log.warning("An earlier run was stopped while it replaced %s: the former folder is back", out)
    for left in sorted(out.parent.glob(f".{out.name}.partial-*")):
        if not _alive(left):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
            log.warning("An earlier run was stopped while it made %s: starting over", out)


def _alive(left: Path) -> bool:
    """Whether the process that a leftover is named after still runs (and is not this one)."""
    pid = left.name.rpartition("-")[2]
    if not pid.isdigit() or int(pid) == os.getpid():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_full(error: BaseException) -> bool:
    """Whether the disk was full; writers in other languages say so only in their words."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return "No space left on device" in str(error)


def _full(out: Path) -> DiskFull:
    free = shutil.disk_usage(out.parent if out.parent.exists() else Path.cwd()).free
    return DiskFull(
        f"The disk was full while {out} was written ({free / 2**20:,.1f} MiB are free now). Nothing half-made was left "
        "behind. Free some space or choose another --out"
    )


def _explained(error: OSError, out: Path) -> InputError | DiskFull:
    if _is_full(error):
        return _full(out)
    if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
        return InputError(f"{out} was made by another process in the meantime. Choose another --out")
    return InputError(f"{error.filename or out}: {error.strerror or error}. Choose a folder that can be written")
