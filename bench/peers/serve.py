"""An embedding server as people write it: sentence-transformers behind FastAPI, OpenAI's answer. Arguments: model folder, port, threads.
Requests that wait are encoded together (the fair peer of micro-batches): one worker thread drains a queue."""
import asyncio, base64, sys
from concurrent.futures import ThreadPoolExecutor
import torch, uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

model_path, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
model = SentenceTransformer(model_path, device="cpu")
model.encode(["warm"])
app = FastAPI()
worker = ThreadPoolExecutor(1)
waiting: list = []


class Request(BaseModel):
    model: str
    input: str | list[str]
    encoding_format: str = "float"


def encode(texts):
    with torch.inference_mode():
        return model.encode(texts, batch_size=32, show_progress_bar=False)


async def drain():
    loop = asyncio.get_running_loop()
    while True:
        while not waiting:
            app.state.more.clear()
            await app.state.more.wait()
        batch = waiting[:64]
        del waiting[: len(batch)]
        texts = [text for part, _ in batch for text in part]
        try:
            vectors = await loop.run_in_executor(worker, encode, texts)
        except Exception as error:
            for _, answer in batch:
                answer.set_exception(error)
            continue
        at = 0
        for part, answer in batch:
            answer.set_result(vectors[at : at + len(part)])
            at += len(part)


@app.on_event("startup")
async def start():
    app.state.more = asyncio.Event()
    app.state.drain = asyncio.create_task(drain())


@app.get("/health")
async def health():
    return {}


@app.post("/v1/embeddings")
async def embeddings(request: Request):
    texts = [request.input] if isinstance(request.input, str) else request.input
    answer = asyncio.get_running_loop().create_future()
    waiting.append((texts, answer))
    app.state.more.set()
    vectors = await answer
    form = (lambda v: base64.b64encode(v.tobytes()).decode()) if request.encoding_format == "base64" else (lambda v: v.tolist())
    return {"object": "list", "model": request.model, "data": [{"object": "embedding", "index": i, "embedding": form(v)} for i, v in enumerate(vectors)]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
