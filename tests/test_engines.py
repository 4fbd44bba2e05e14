"""Both engines read the same prompts, items and pictures among them, and say the same."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from shops import picture
from transformers import AutoModelForImageTextToText, AutoProcessor

from llmrec.engines.engine import Engine, EngineDown, EngineRefused, Prompt
from llmrec.engines.served import OpenAIEngine
from llmrec.engines.vllm import vllm
from llmrec.lexicon import read_words
from llmrec.modeling.local import LocalEngine

LONGEST = 12


@pytest.fixture(scope="module")
def local(tuned_model: Path) -> LocalEngine:
    return LocalEngine(tuned_model, dtype="float32")


@pytest.fixture(scope="module")
def prompts(tuned_model: Path, local: LocalEngine) -> tuple[Prompt, Prompt]:
    """A line of items, and one with two pictures in it."""
    first = read_words(tuned_model).first
    words = local.base.tokenizer("a person took these items , and this looks", add_special_tokens=False)["input_ids"]
    shown = local.base.picture_token
    plain = Prompt((*words, first, first + 7, first + 3))
    return plain, Prompt((*words, first, shown, *words[:3], shown, first + 3), (picture(1, 60), picture(44, 60)))


def run_with(engine: Callable[[], Engine], work: Callable[[Engine], Coroutine[Any, Any, Any]]) -> Any:
    """Each test has a loop of its own, and an HTTP client belongs to one loop."""

    async def main() -> Any:
        opened = engine()
        try:
            return await work(opened)
        finally:
            await opened.close()

    return asyncio.run(main())


async def said(engine: Engine, prompt: Prompt, longest: int = LONGEST) -> list[str]:
    return [piece async for piece in engine.write(prompt, longest=longest)]


def test_the_engine_in_the_process_scores_as_plain_transformers(
    local: LocalEngine, tuned_model: Path, prompts: tuple[Prompt, Prompt]
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(tuned_model, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(tuned_model)
    first = read_words(tuned_model).first
    asked = [first + code for code in range(40)]
    plain, with_pictures = prompts
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([plain.tokens])).logits[0, -1].log_softmax(0)[asked]
    found = asyncio.run(local.logprobs(plain, asked))
    assert torch.allclose(torch.tensor(found), expected, atol=1e-4)

    from io import BytesIO

    from PIL import Image

    images = [Image.open(BytesIO(data)).convert("RGB") for data in with_pictures.pictures]
    seen = processor.image_processor(images, return_tensors="pt")["pixel_values"]
    places = processor(text=["<image>"], images=[images[0]], return_tensors="pt")["input_ids"][0]
    many = int((places == local.base.picture_token).sum())
    tokens = [
        token for one in with_pictures.tokens for token in ([one] * many if one == local.base.picture_token else [one])
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens]), pixel_values=seen).logits[0, -1]
    found = asyncio.run(local.logprobs(with_pictures, asked))
    assert torch.allclose(torch.tensor(found), logits.log_softmax(0)[asked], atol=1e-4)
    assert not torch.allclose(torch.tensor(found), torch.tensor(asyncio.run(local.logprobs(plain, asked))), atol=1e-2)


def test_text_comes_piece_by_piece_and_is_what_the_model_writes(
    local: LocalEngine, tuned_model: Path, prompts: tuple[Prompt, Prompt]
) -> None:
    model = AutoModelForImageTextToText.from_pretrained(tuned_model, dtype=torch.float32).eval()
    tokens = torch.tensor([prompts[0].tokens])
    with torch.no_grad():
        made = model.generate(
            input_ids=tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=LONGEST, do_sample=False
        )
    expected = local.base.tokenizer.decode(made[0, tokens.shape[1] :], skip_special_tokens=True)
    pieces = asyncio.run(said(local, prompts[0]))
    assert "".join(pieces).strip() == expected.strip()
    assert len(pieces) > 1 or len(expected) < 4


def test_whoever_stops_listening_stops_the_model(local: LocalEngine, prompts: tuple[Prompt, Prompt]) -> None:
    async def one_piece() -> int:
        text = local.write(prompts[0], longest=100_000, temperature=1.5)
        await anext(text)
        await text.aclose()
        return len(await local.logprobs(prompts[0], [1, 2]))  # it is free again

    assert asyncio.run(asyncio.wait_for(one_piece(), 30)) == 2


def test_a_picture_too_many_or_too_few_is_refused(local: LocalEngine, prompts: tuple[Prompt, Prompt]) -> None:
    for pictures in ((), (picture(1),) * 3):
        with pytest.raises(EngineRefused, match="places for 2 pictures"):
            asyncio.run(local.logprobs(Prompt(prompts[1].tokens, pictures), [1]))


def test_a_server_that_is_not_there_is_told_at_once(prompts: tuple[Prompt, Prompt]) -> None:
    def nowhere() -> OpenAIEngine:
        return OpenAIEngine("http://127.0.0.1:9")

    assert run_with(nowhere, lambda engine: engine.ready()) is False
    with pytest.raises(EngineDown, match=r"127\.0\.0\.1:9 does not answer"):
        run_with(nowhere, lambda engine: engine.logprobs(prompts[0], [1]))
    with pytest.raises(EngineDown, match=r"127\.0\.0\.1:9 does not answer"):
        run_with(nowhere, lambda engine: said(engine, prompts[0]))


def test_it_asks_behind_the_path_of_an_address_and_follows_nobody(prompts: tuple[Prompt, Prompt]) -> None:
    seen: list[str] = []

    class Sent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(307)
            self.send_header("location", "/somewhere/else")
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/models/a/"
    try:
        assert run_with(lambda: OpenAIEngine(address), lambda engine: engine.ready()) is False
        with pytest.raises(EngineRefused, match="vLLM answered 307"):
            run_with(lambda: OpenAIEngine(address), lambda engine: engine.logprobs(prompts[0], [1]))
    finally:
        server.shutdown()
        server.server_close()
    assert seen == ["/models/a/health", "/models/a/v1/completions"]


@pytest.fixture(scope="module")
def address(tuned_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    log = tmp_path_factory.mktemp("vllm") / "vllm.log"
    with vllm(tuned_model, dtype="float32", length=256, log=log) as found:
        yield found


@pytest.mark.slow
def test_vllm_and_the_engine_in_the_process_agree(
    address: str, local: LocalEngine, tuned_model: Path, prompts: tuple[Prompt, Prompt]
) -> None:
    first = read_words(tuned_model).first
    asked = [*range(first, first + 40), *range(100)]  # more than one request takes
    for prompt in prompts:
        theirs = run_with(lambda: OpenAIEngine(address), lambda engine, one=prompt: engine.logprobs(one, asked))
        ours = asyncio.run(local.logprobs(prompt, asked))
        assert torch.allclose(torch.tensor(theirs), torch.tensor(ours), atol=5e-3)
        text = run_with(lambda: OpenAIEngine(address), lambda engine, one=prompt: said(engine, one))
        assert "".join(text).strip() == "".join(asyncio.run(said(local, prompt))).strip()


@pytest.mark.slow
def test_what_vllm_refuses_is_no_outage(address: str, prompts: tuple[Prompt, Prompt]) -> None:
    assert run_with(lambda: OpenAIEngine(address), lambda engine: engine.ready()) is True
    long = Prompt(prompts[0].tokens * 100)
    for work in (lambda engine: engine.logprobs(long, [1]), lambda engine: said(engine, long)):
        with pytest.raises(EngineRefused, match="vLLM answered 400"):
            run_with(lambda: OpenAIEngine(address), work)
