"""A merged model in this process: for laptops without vLLM, and to hold vLLM against. One request after the other."""

import asyncio
import io
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from llmrec.engines.engine import EngineRefused, Prompt
from llmrec.modeling.adapters import language_model
from llmrec.modeling.album import Album
from llmrec.modeling.base import Dtype, load_base

COLDEST = 1e-3  # below it chance has no part, and numbers overflow


class LocalEngine:
    """transformers on one device; what is asked at the same time waits in a line."""

    def __init__(self, folder: Path, *, device: str = "cpu", dtype: Dtype = "auto"):
        self.base = load_base(str(folder), device=device, dtype=dtype)
        self._album = Album(self.base, [])
        self._turn = threading.Lock()

    async def logprobs(self, prompt: Prompt, tokens: Sequence[int]) -> list[float]:
        """Log-probabilities of these tokens as the next one."""
        return await asyncio.to_thread(self._logprobs, prompt, list(tokens))

    async def write(self, prompt: Prompt, *, longest: int, temperature: float = 0.0) -> AsyncGenerator[str]:
        """The text that follows; whoever stops listening stops the model after its next word."""
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue[str | Exception | None]()
        left = threading.Event()

        def told(piece: str | Exception | None) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        def work() -> None:
            try:
                for piece in self._pieces(prompt, longest, temperature, left):
                    told(piece)
                told(None)
            except Exception as error:  # it is raised again where the text is read
                told(error)

        worker = asyncio.create_task(asyncio.to_thread(work))
        try:
            while (piece := await pieces.get()) is not None:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            left.set()
            await asyncio.shield(worker)

    async def ready(self) -> bool:
        """It is ready as soon as it is there."""
        return True

    async def counters(self) -> dict[str, float]:
        """It counts nothing."""
        return {}

    async def close(self) -> None:
        """Wait for whoever is being answered."""
        await asyncio.to_thread(self._turn.acquire)
        self._turn.release()

    @torch.no_grad()
    def _logprobs(self, prompt: Prompt, tokens: list[int]) -> list[float]:
        with self._turn:
            hidden = self._read(self._embedded(prompt)).last_hidden_state[0, -1]
            scores: Tensor = self._scores(hidden).log_softmax(dim=0)
            return [float(value) for value in scores[tokens]]

    @torch.no_grad()
    def _pieces(self, prompt: Prompt, longest: int, temperature: float, left: threading.Event) -> Any:
        """Text as far as it is whole: a letter of several tokens comes at once."""
        ends = self.base.model.generation_config.eos_token_id
        ends = {*(ends if isinstance(ends, list) else [ends]), self.base.tokenizer.eos_token_id}
        with self._turn:
            read = self._read(self._embedded(prompt), use_cache=True)
            said: list[int] = []
            shown = ""
            for _ in range(longest):
                if left.is_set():
                    return
                scores = self._scores(read.last_hidden_state[0, -1])
                if temperature > COLDEST:
                    token = int(torch.multinomial((scores / temperature).softmax(dim=0), 1))
                else:
                    token = int(scores.argmax())
                if token in ends:
                    break
                said.append(token)
                text = self.base.tokenizer.decode(said, skip_special_tokens=True)
                if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                    if len(text) > len(shown):
                        yield text[len(shown) :]
                    shown = text
                table = self.base.model.get_input_embeddings()
                next_one = table(torch.tensor([[token]], device=self.base.model.device))
                read = self._read(next_one, use_cache=True, past_key_values=read.past_key_values)

    def _scores(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.base.model.get_output_embeddings()(hidden).float()
        return found

    def _read(self, vectors: Tensor, **more: Any) -> Any:
        return language_model(self.base.model)(inputs_embeds=vectors, **more)

    def _embedded(self, prompt: Prompt) -> Tensor:
        """Input vectors of a prompt, each picture token replaced by what the model sees of its picture."""
        device = self.base.model.device
        table = self.base.model.get_input_embeddings()
        places = [place for place, token in enumerate(prompt.tokens) if token == self.base.picture_token]
        if len(places) != len(prompt.pictures):
            raise EngineRefused(f"The prompt has places for {len(places)} pictures, but {len(prompt.pictures)} came")
        vectors: Tensor = table(torch.tensor([prompt.tokens], device=device))
        if not places:
            return vectors
        pieces, begin = [], 0
        for place, picture in zip(places, prompt.pictures, strict=True):
            with Image.open(io.BytesIO(picture)) as image:
                sight = self._album.encoded([image.convert("RGB")])[0]
            if sight.tokens.shape[1] > 1 or sight.grid is not None:
                raise EngineRefused(
                    f"{self.base.name} counts pictures by rows and columns, which the engine in the process does not "
                    "do. Serve it with vLLM"
                )
            pieces += [vectors[0, begin:place], sight.tokens[:, 0].to(vectors)]
            begin = place + 1
        return torch.cat([*pieces, vectors[0, begin:]])[None]
