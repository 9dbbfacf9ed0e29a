"""Tokens a second of llama-cpp-python: one sequence, and many in one batch through its llama.cpp binding.
In: {model, prompt, tokens, sequences, threads, repetitions}. Sampling: temperature 1, top_p 0.9, as on our side."""
import json, sys, time
import llama_cpp
from llama_cpp import Llama

job = json.load(sys.stdin)
llm = Llama(
    job["model"], n_ctx=job["contextPerSequence"] * max(job["sequences"]), n_threads=job["threads"],
    n_threads_batch=job["threads"], n_batch=2048, n_seq_max=max(job["sequences"]), verbose=False,
)
prompt = llm.tokenize(job["prompt"].encode(), add_bos=False, special=True)
vocabulary = llama_cpp.llama_model_get_vocab(llm._model.model)


def sampler(seed):
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(1.0))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_p(0.9, 1))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(seed))
    return chain


def single():
    """The high-level call that a user would write."""
    llm.reset()
    out = llm.create_completion(
        prompt, max_tokens=job["tokens"], temperature=1.0, top_p=0.9, top_k=0, min_p=0.0, seed=1,
        logit_bias={str(llm.token_eos()): -100.0, "0": -100.0},
    )
    return out["usage"]["completion_tokens"]


def batched(sequences):
    """llama_decode over all sequences in lockstep, as llama.cpp's batched benchmark does; every sequence has its own prompt."""
    memory = llama_cpp.llama_get_memory(llm._ctx.ctx)
    llama_cpp.llama_memory_clear(memory, True)
    batch = llama_cpp.llama_batch_init(len(prompt) * sequences, 0, 1)

    def put(row, token, position, sequence, logits):
        batch.token[row] = token
        batch.pos[row] = position
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = sequence
        batch.logits[row] = logits

    row = 0
    last = [0] * sequences
    for sequence in range(sequences):
        for position, token in enumerate(prompt):
            put(row, token, position, sequence, position == len(prompt) - 1)
            row += 1
        last[sequence] = row - 1
    batch.n_tokens = row
    assert llama_cpp.llama_decode(llm._ctx.ctx, batch) == 0
    samplers = [sampler(sequence) for sequence in range(sequences)]
    for step in range(job["tokens"]):
        tokens = [llama_cpp.llama_sampler_sample(samplers[s], llm._ctx.ctx, last[s]) for s in range(sequences)]
        if step == job["tokens"] - 1:
            break
        for s in range(sequences):
            put(s, tokens[s], len(prompt) + step, s, True)
            last[s] = s
        batch.n_tokens = sequences
        assert llama_cpp.llama_decode(llm._ctx.ctx, batch) == 0
    for chain in samplers:
        llama_cpp.llama_sampler_free(chain)
    llama_cpp.llama_batch_free(batch)
    return job["tokens"] * sequences


def rate(work):
    work()
    rates = []
    for _ in range(job["repetitions"]):
        started = time.perf_counter()
        tokens = work()
        rates.append(tokens / (time.perf_counter() - started))
    return sorted(rates)[len(rates) // 2]


print(json.dumps({"single": rate(single), "batched": {str(n): rate(lambda: batched(n)) for n in job["sequences"]}}))
