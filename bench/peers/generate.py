"""Tokens per second of llama-cpp-python, prompts included: one text after another, and many samples of one prompt side by side.
In: {model, groups: [[prompt]], tokens, sequences, context, threads, temperatures?}; the first group is a rehearsal.
Out: {single, batched}, medians over the groups; batched alone where temperatures are given, each for an equal share of the
sequences. Sampling: temperature (1 unless given), then top_p 0.9, as on our side."""
import json, os, sys, time
import llama_cpp
from llama_cpp import Llama

job = json.load(sys.stdin)
llm = Llama(
    job["model"], n_ctx=job["context"], n_threads=job["threads"], n_threads_batch=job["threads"], verbose=False,
)
model = llm._model.model
rehearsal, *groups = [[llm.tokenize(p.encode(), add_bos=False, special=True) for p in g] for g in job["groups"]]


def high_level(prompts):
    """What a user writes; the beginning that a prompt shares with the one before is not computed again."""
    tokens = 0
    for seed, prompt in enumerate(prompts):
        out = llm.create_completion(
            prompt, max_tokens=job["tokens"], temperature=1.0, top_p=0.9, top_k=0, min_p=0.0, repeat_penalty=1.0, seed=seed,
        )
        tokens += out["usage"]["completion_tokens"]
    return tokens


temperatures = job.get("temperatures", [1.0])


def sampler(seed):
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_temp(temperatures[seed * len(temperatures) // job["sequences"]]))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_p(0.9, 1))
    llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_dist(seed))
    return chain


class Lockstep:
    """llama_decode over all sequences, as llama.cpp's batched benchmark has it with a shared prompt; no text ends early."""

    def __init__(self, sequences, unified):
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = job["context"] * sequences
        params.n_batch = 2048
        params.n_threads = params.n_threads_batch = job["threads"]
        params.n_seq_max = sequences
        params.kv_unified = unified
        self.sequences = sequences
        self.context = llama_cpp.llama_init_from_model(model, params)
        self.batch = llama_cpp.llama_batch_init(2048, 0, 1)

    def close(self):
        llama_cpp.llama_batch_free(self.batch)
        llama_cpp.llama_free(self.context)

    def put(self, row, token, position, sequence, logits):
        self.batch.token[row] = token
        self.batch.pos[row] = position
        self.batch.n_seq_id[row] = 1
        self.batch.seq_id[row][0] = sequence
        self.batch.logits[row] = logits

    def decode(self, rows):
        self.batch.n_tokens = rows
        assert llama_cpp.llama_decode(self.context, self.batch) == 0

    def samples(self, prompt):
        memory = llama_cpp.llama_get_memory(self.context)
        llama_cpp.llama_memory_clear(memory, True)
        for position, token in enumerate(prompt):
            self.put(position, token, position, 0, position == len(prompt) - 1)
        self.decode(len(prompt))
        samplers = [sampler(seed) for seed in range(self.sequences)]
        rows = [len(prompt) - 1] * self.sequences
        for sequence in range(1, self.sequences):
            llama_cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        for step in range(job["tokens"]):
            drawn = [llama_cpp.llama_sampler_sample(chain, self.context, row) for chain, row in zip(samplers, rows)]
            if step < job["tokens"] - 1:
                rows = list(range(self.sequences))
                for sequence, token in enumerate(drawn):
                    self.put(sequence, token, len(prompt) + step, sequence, True)
                self.decode(self.sequences)
        for chain in samplers:
            llama_cpp.llama_sampler_free(chain)
        return job["tokens"] * self.sequences

    def one_after_another(self, prompts):
        return sum(self.samples(prompt) for prompt in prompts)


def rate(work):
    work(rehearsal)
    rates = []
    for group in groups:
        started = time.perf_counter()
        tokens = work(group)
        rates.append(tokens / (time.perf_counter() - started))
    return sorted(rates)[len(rates) // 2]


def lockstep_rate(sequences, unified, work):
    run = Lockstep(sequences, unified)
    result = rate(lambda group: work(run, group))
    run.close()
    return result


single = None if "temperatures" in job else max(rate(high_level), lockstep_rate(1, False, lambda run, group: run.one_after_another(group)))
batched = max(lockstep_rate(job["sequences"], unified, lambda run, group: run.samples(group[0])) for unified in (False, True))
print(json.dumps({"single": single, "batched": batched}), flush=True)
os._exit(0)  # The binding may complain when the interpreter takes the model down.
