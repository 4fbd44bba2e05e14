"""vLLM under a merged model: bare, as OpenAI's client meets it, and behind `llmrec serve`, where it is killed."""

import asyncio
import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateways import serving
from openai import OpenAI
from shops import picture

from llmrec.engines.vllm import NAME, vllm
from llmrec.gateway.model import Served
from llmrec.modeling.local import LocalEngine
from llmrec.retrieval.index import Index

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("vllm") is None or sys.platform != "linux", reason="needs vLLM and /proc"),
]
ROOT = Path(__file__).parent.parent
LONGEST = 200.0  # seconds in which vLLM is up
PERSON = "u01"


def until(done: Callable[[], Any], what: str, seconds: float = LONGEST) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds:.0f} s")


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be counted does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def below(pid: int) -> list[int]:
    """A process's children and all that they started."""
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").iterdir()
        own = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        return [*own, *(one for child in own for one in below(child))]
    return []


class Running:
    """`llmrec serve` in a process of its own."""

    def __init__(self, model: Path, index: Path, folder: Path):
        command = [sys.executable, "-m", "llmrec", "serve", str(model), "--index", str(index), f"state={folder}"]
        command += ["port=0", "patience=20", "vllm.max-num-seqs=8", "vllm.dtype=float32"]
        self.log, self.said = folder / "gateway.log", folder / "said"
        folder.mkdir()
        with self.log.open("wb") as log, self.said.open("wb") as said:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=log)
        self.client = httpx.Client(timeout=60, trust_env=False)

    def wait(self) -> None:
        """Wait until it says that it is ready."""
        self.client.base_url = until(self._ready, f"ready (see {self.log})")

    @property
    def vllm(self) -> list[int]:
        """The vLLM process that it started, and those that that one started."""
        return below(self.process.pid)

    def recommended(self) -> Any:
        """What is recommended to somebody."""
        answer = self.client.post("/v1/recommendations", json={"user": PERSON, "k": 5})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def explained(self) -> httpx.Response:
        """Why an item fits them."""
        return self.client.post("/v1/explanations", json={"user": PERSON, "item": "i010"})

    def read(self) -> float:
        """The prompt tokens that vLLM has read."""
        found = re.search(r"^llmrec_engine_prompt_tokens (\S+)", self.client.get("/metrics").text, re.MULTILINE)
        assert found
        return float(found[1])

    def _ready(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        found = re.search(r"ready: (http://\S+)/v1", self.said.read_text())
        return found and found[1]


@contextmanager
def served(model: Path, index: Path, folder: Path) -> Iterator[Running]:
    running = Running(model, index, folder)
    try:
        running.wait()
        yield running
    finally:
        running.client.close()
        started = running.vllm
        running.process.kill()
        running.process.wait(30)
        for pid in started:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def bare(tuned_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    log = tmp_path_factory.mktemp("bare") / "vllm.log"
    with (
        vllm(tuned_model, dtype="float32", length=512, log=log) as address,
        OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client,
    ):
        yield client


def shown(text: str) -> Any:
    address = f"data:image/png;base64,{base64.b64encode(picture(7)).decode()}"
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": address}}]


@pytest.mark.parametrize("content", ["Tell me about this item", shown("Tell me about this item")])
def test_bare_vllm_answers_chats_with_and_without_pictures(bare: OpenAI, content: Any) -> None:
    asked: Any = {"model": NAME, "messages": [{"role": "user", "content": content}], "max_tokens": 12, "temperature": 0}
    answer = bare.chat.completions.create(**asked)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0
    chunks = list(bare.chat.completions.create(**asked, stream=True))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == answer.choices[0].message.content


def test_a_picture_is_part_of_what_bare_vllm_reads(bare: OpenAI) -> None:
    tokens = []
    for content in ("Tell me about this item", shown("Tell me about this item")):
        messages: Any = [{"role": "user", "content": content}]
        answer = bare.chat.completions.create(model=NAME, messages=messages, max_tokens=1)
        tokens.append(answer.usage.prompt_tokens)
    assert tokens[1] > tokens[0]


def test_a_gateway_with_vllm_outlives_it_drains_and_leaves_nothing_behind(
    tuned_model: Path, tuned_index: Index, tmp_path: Path
) -> None:
    with served(tuned_model, tuned_index.folder, tmp_path / "gateway") as running:
        first = running.vllm
        assert first
        told = running.recommended()
        assert told["fallback"] is None
        check_scores(tuned_model, running.client, told)
        before = running.read()
        assert running.explained().json()["because"]
        assert running.read() > before, "vLLM was asked for sentences, though so small a model may write none"

        os.kill(first[0], signal.SIGKILL)
        until(lambda: not alive(first[0]), "vLLM is gone", 10)
        told = running.recommended()
        assert len(told["items"]) == 5
        assert told["fallback"]
        why = running.explained()
        assert (why.status_code, why.headers["retry-after"]) == (503, "5")
        assert why.json()["error"]["code"] == "engine_down"
        assert running.client.get("/readyz").json()["engine"] is False
        with (
            OpenAI(base_url=f"{running.client.base_url}/v1", api_key="none", max_retries=0) as client,
            pytest.raises(openai.InternalServerError),
        ):
            client.completions.create(model="llmrec", prompt="a person", max_tokens=2)

        until(lambda: running.recommended()["fallback"] is None, "vLLM was started again")
        assert running.explained().status_code == 200
        second = running.vllm
        assert second[0] != first[0]
        assert not any(alive(pid) for pid in first)

        asked = {"model": "llmrec", "prompt": "a person took", "max_tokens": 1_000, "temperature": 1.5, "stream": True}
        with running.client.stream("POST", "/v1/completions", json=asked) as answer:
            lines = answer.iter_lines()
            assert next(lines).startswith("data: ")
            running.process.send_signal(signal.SIGTERM)
            last = [line for line in lines if line][-1]
        assert last == "data: [DONE]"
        assert running.process.wait(60) == 0
        assert not any(alive(pid) for pid in second)


def test_vllm_ends_with_a_gateway_that_is_killed(tuned_model: Path, tuned_index: Index, tmp_path: Path) -> None:
    with served(tuned_model, tuned_index.folder, tmp_path / "gateway") as running:
        started = running.vllm
        assert started
        running.process.kill()
        running.process.wait()
        until(lambda: not any(alive(pid) for pid in started), "vLLM ended as well", 60)


def check_scores(model: Path, client: httpx.Client, told: Any) -> None:
    """What vLLM finds likely is what the engine in the process finds."""
    first, second = told["items"][:2]
    talk: list[Any] = [
        {"role": "user", "content": "What would you suggest?"},
        {"role": "assistant", "content": None, "llmrec": told},
        {"role": "user", "content": "Which is better, the first or the second?"},
    ]
    body = {"model": "llmrec", "user": PERSON, "messages": talk}
    both = client.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["llmrec"]["items"]
    assert [one["item"] for one in both] == [first["item"], second["item"]]
    opened = Served.open(model)
    history = client.get(f"/v1/people/{PERSON}/history").json()["taken"]
    tokens = [token for one in both if (token := opened.token(one["item"])) is not None]
    ours = asyncio.run(LocalEngine(model, dtype="float32").logprobs(opened.ranking(history), tokens))
    assert [one["score"] for one in both] == pytest.approx(ours, abs=5e-3)


def test_recommendations_are_the_same_with_vllm_and_without(
    tuned_model: Path, tuned_index: Index, tmp_path: Path
) -> None:
    asked = {"user": PERSON, "k": 100}
    with serving(tuned_model, tuned_index, tmp_path / "local") as local:
        ours = httpx.post(f"{local.address}/v1/recommendations", json=asked, timeout=60, trust_env=False).json()[
            "items"
        ]
    with served(tuned_model, tuned_index.folder, tmp_path / "gateway") as running:
        theirs = running.client.post("/v1/recommendations", json=asked).json()["items"]
    scores = {one["item"]: one["score"] for one in theirs}
    assert set(scores) == {one["item"] for one in ours}
    assert [scores[one["item"]] for one in ours] == pytest.approx([one["score"] for one in ours], abs=0.02)
