"""A server that answers as vLLM does, until it is told to be broken: in each of the ways in which a network breaks."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["well", "hangs", "unwell", "resets", "drips", "slow", "dies", "stalls", "rambles", "nonsense", "refuses"]
WORDS = ("It ", "suits ", "you. ") * 10


@dataclass
class Vllm:
    """What it does with the next request, and what came of those before."""

    how: How = "well"
    rankings: int = 0
    """How often log-probabilities were asked for."""
    writing: int = 0
    """How many texts it is writing at this moment."""
    left: int = 0
    """How often whoever listened went away before the end."""
    prompts: list[list[int]] = field(default_factory=list)
    address: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                length = _length(head)
                body = json.loads(await reader.readexactly(length)) if length else {}
                await self._answer(head.split(" ")[1], body, reader, writer)
        writer.close()

    async def _answer(self, path: str, body: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streamed = body.get("stream")
        tokens = body.get("prompt") or body.get("token_ids")
        if tokens:
            self.prompts.append(tokens)
            self.rankings += not streamed
        if self.how == "resets":
            linger = struct.pack("ii", 1, 0)  # the connection is reset, not ended
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.close()
        elif path == "/health" and self.how != "drips":
            await _whole(writer, 503 if self.how == "unwell" else 200, b"")
        elif self.how == "hangs":
            await self._listened(reader, asyncio.sleep(60))
        elif self.how == "drips":
            await self._listened(reader, _drip(writer))
        elif self.how == "unwell":
            await _whole(writer, 503, b"{}")
        elif self.how == "refuses":
            await _whole(writer, 400, b'{"error": {"message": "PROMPT"}}')
        elif self.how == "nonsense":
            await _whole(writer, 200, b"<html>")
        elif streamed:
            await self._listened(reader, self._write(writer))
        else:
            ids = body.get("logprob_token_ids") or body["sampling_params"]["logprob_token_ids"]
            scores = {f"token_id:{token}": -1 - token % 7 for token in ids}
            told = {"choices": [{"logprobs": {"top_logprobs": [scores]}}]}
            await _whole(writer, 200, json.dumps(told).encode())

    async def _write(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, word in enumerate(WORDS if self.how != "rambles" else ()):
            piece = b"data: " + json.dumps({"choices": [{"text": word}]}).encode() + b"\n\n"
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            if self.how == "dies" and number == 4:
                writer.transport.abort()
                return
            pause = 1.0 if self.how == "slow" else 60.0 if self.how == "stalls" and number == 4 else 0.0
            await asyncio.sleep(pause)
        while self.how == "rambles":  # a line without an end
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    async def _listened(self, reader: asyncio.StreamReader, work: Any) -> None:
        """Work as long as somebody listens."""
        self.writing += 1
        task, gone = asyncio.ensure_future(work), asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.left += 1
                raise ConnectionResetError
        finally:
            task.cancel()
            gone.cancel()
            await asyncio.wait({task, gone})  # only then may somebody else read
            self.writing -= 1


def _length(head: str) -> int:
    return next((int(line[15:]) for line in head.split("\r\n") if line[:15].lower() == "content-length:"), 0)


async def _drip(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + b" " * 100_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _whole(writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))
    await writer.drain()


@contextmanager
def broken_vllm() -> Iterator[Vllm]:
    """One of them, on a port of its own."""
    vllm = Vllm()
    loop = asyncio.new_event_loop()
    started, ended = threading.Event(), asyncio.Event()

    async def main() -> None:
        server = await asyncio.start_server(vllm.serve, "127.0.0.1", 0)
        vllm.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        started.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    started.wait(10)
    try:
        yield vllm
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
