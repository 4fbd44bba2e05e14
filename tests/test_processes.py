"""Several processes that accelerate starts: they share the plan, end with the same weights, and write one run.

Each holds the whole model (`accelerate-cpu.yaml`), or a part of each layer (`accelerate-fsdp.yaml`, on a CPU as well).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shops import shop
from tiny_models import tiny_model

from llmrec.recommender import Recommender
from llmrec.retrieval.index import Index, IndexRecipe
from llmrec.retrieval.making import make_index
from llmrec.retrieval.sasrec import SasRecRecipe

ROOT = Path(__file__).parent.parent
TUNED = ("words.safetensors", "adapter/adapter_model.safetensors")
LONGEST = 240  # seconds, for what takes forty

RECIPE = """
model: {folder}/model
index: {folder}/index
out: {folder}/run
prompts: {root}/prompts
quantization: none
dtype: float32
device: cpu
words: {{collaborative: 8, width: 32, rank: 16, warm: 2}}
walks: {{passes: 2}}
talks: {{count: 12, examples: {{budget: 4096, candidates: 3, picture_tokens: 1}}}}
batch_tokens: 128
watch: 3
watched: 20
trainer: {{logging_steps: 1, disable_tqdm: true, save_steps: 4}}
"""

# What a process learnt from and ended with, beside the run: `python -m llmrec.sft` with two looks into it.
WATCHED = """
import json, os, sys
from pathlib import Path
from llmrec import sft
from llmrec.tuning.material import Material
from llmrec.tuning.run import save_weights
from llmrec.tuning.trainer import Tuner

folder, lines, train = Path(sys.argv[2]) / os.environ["RANK"], Material.lines, Tuner.train
folder.mkdir(parents=True, exist_ok=True)

def noted(self, batch):
    with (folder / "batches").open("a") as file:
        print(json.dumps([batch.walks, batch.round, *batch.keys]), file=file)
    return lines(self, batch)

def kept(self, *given, **named):
    train(self, *given, **named)
    ranker = self.accelerator.unwrap_model(self.model)
    save_weights(ranker, folder)
    layers = [value for name, value in ranker.named_parameters() if ".layers." in name and "language_model" in name]
    held = sum(value.to_local().numel() if hasattr(value, "to_local") else value.numel() for value in layers)
    (folder / "held").write_text(json.dumps([held, sum(value.numel() for value in layers)]))

Material.lines, Tuner.train = noted, kept
sys.exit(sft.main([sys.argv[1], *sys.argv[3:]]))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("processes")
    recipe = IndexRecipe(sasrec=SasRecRecipe(width=8, epochs=1), text_width=16, picture_width=8)
    make_index(shop(made / "shop"), made / "index", recipe)
    tiny_model("llava", made / "model")
    (made / "watched.py").write_text(WATCHED)
    (made / "recipe.yaml").write_text(RECIPE.format(folder=made, root=ROOT))
    return made


CONFIGURATIONS = {
    "whole": ["--config_file", str(ROOT / "train" / "accelerate-cpu.yaml")],
    "shards": ["--config_file", str(ROOT / "train" / "accelerate-fsdp.yaml"), "--mixed_precision", "no"],
}


def launched(*words: object, held: str = "whole") -> subprocess.Popen[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    command += [*CONFIGURATIONS[held], "--main_process_port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code and what was said; one that hangs is ended."""
    try:
        said, _ = process.communicate(timeout=LONGEST)
    finally:
        process.terminate()  # the launcher ends those that it started
    return process.returncode, said


@pytest.mark.parametrize("held", CONFIGURATIONS)
def test_two_processes_share_the_plan_and_write_one_run(held: str, folder: Path) -> None:
    seen, out = folder / f"seen-{held}", folder / f"run-{held}"
    code, said = ended(launched(folder / "watched.py", folder / "recipe.yaml", seen, f"out={out}", held=held))
    assert code == 0, said
    assert said.count("Measure it:") == 1, "one of them speaks"
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["processes"] == 2
    assert manifest["shards"] == (held == "shards")
    for rank in "01":
        own, all_of_them = json.loads((seen / rank / "held").read_text())
        assert own * (2 if held == "shards" else 1) == all_of_them
    assert not (out / "checkpoints").exists()
    assert sum("valid_ndcg@10" in entry for entry in manifest["history"]) == 2

    batches = [(seen / rank / "batches").read_text().splitlines() for rank in "01"]
    assert len(batches[0]) == len(batches[1])
    assert not set(batches[0]) & set(batches[1]), "each batch is learnt once"
    assert len(set(batches[0]) | set(batches[1])) == manifest["plan"]["batches"]

    for file in TUNED:
        one, other, written = (load_file(place / file) for place in (seen / "0", seen / "1", out))
        assert all(torch.equal(one[name], other[name]) for name in one), f"{file} is the same in both"
        assert all(torch.equal(one[name], written[name]) for name in one)
    index = Index.open(folder / "index")
    dataset = index.dataset()
    opened = Recommender.open(out, index, dataset, device="cpu")
    assert np.isfinite(opened.ranking.score([dataset.log.history(0)])).all()

    code, said = ended(launched("-m", "llmrec.sft", folder / "recipe.yaml", f"out={out}", held=held))
    assert code != 0
    assert "pass --overwrite" in said


def test_shards_learn_what_the_whole_learns(folder: Path) -> None:
    for file in TUNED:
        whole, shards = (load_file(folder / f"run-{held}" / file) for held in ("whole", "shards"))
        assert set(whole) == set(shards)
        assert all(torch.allclose(whole[name], shards[name], atol=1e-6) for name in whole)
    figures = [json.loads((folder / f"run-{held}" / "manifest.json").read_text())["history"] for held in CONFIGURATIONS]
    losses = [[entry["loss"] for entry in history if "loss" in entry] for history in figures]
    assert np.allclose(*losses, atol=1e-4)


def test_all_weights_are_tuned_in_shards_in_bfloat16_and_what_shards_cannot_do_is_said(folder: Path) -> None:
    words = ["-m", "llmrec.sft", folder / "recipe.yaml", f"out={folder / 'all'}"]
    code, said = ended(launched(*words, "dtype=bfloat16", "adapter.kind=full", held="shards"))
    assert code == 0, said
    index = Index.open(folder / "index")
    opened = Recommender.open(folder / "all", index, index.dataset(), device="cpu")
    assert np.isfinite(opened.ranking.score([index.dataset().log.history(0)])).all()
    code, said = ended(launched(*words, "quantization=4bit", "--overwrite", held="shards"))
    assert code != 0
    assert "quantization=4bit and weights in shards do not go together. Set quantization=none" in said
    assert (folder / "all" / "manifest.json").exists(), "nothing is lost"


@pytest.mark.parametrize(("victim", "held"), [("0", "whole"), ("1", "whole"), ("1", "shards")])
def test_when_one_process_dies_the_other_ends_too_and_both_go_on_later(victim: str, held: str, folder: Path) -> None:
    out = folder / f"{held}-without-{victim}"
    command = ("-m", "llmrec.sft", folder / "recipe.yaml", f"out={out}", "walks.passes=20")
    process = launched(*command, held=held)
    try:
        waited = time.monotonic()
        while not list((out / "checkpoints").glob("checkpoint-*/whole")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() - waited < LONGEST
            time.sleep(0.2)
        os.kill(child(process.pid, victim), signal.SIGKILL)
        process.communicate(timeout=60)
    finally:
        process.terminate()  # the launcher ends those that it started
        process.communicate()
    assert process.returncode != 0
    assert not (out / "manifest.json").exists()
    code, said = ended(launched(*command, held=held))
    assert code == 0, said
    assert said.count("going on from checkpoint-") == 1
    manifest = json.loads((out / "manifest.json").read_text())
    steps = [entry["step"] for entry in manifest["history"] if "loss" in entry]
    assert steps == sorted(set(steps))
    assert steps[-1] == -(-manifest["plan"]["batches"] // 2)


def child(parent: int, rank: str) -> int:
    """The process of a rank, among those that the launcher started."""
    for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"RANK={rank}" in Path(f"/proc/{number}/environ").read_text().split("\0"):
            return int(number)
    raise AssertionError(f"no process has rank {rank}")
