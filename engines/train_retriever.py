"""Trains an encoder with sentence-transformers' trainer, on one process or many, as `llm-qe train retriever --engine
sentence-transformers` asks for it. Needs no llm-qe:

    python train_retriever.py settings.json                                 one process
    torchrun --nproc_per_node 8 train_retriever.py settings.json            one machine, eight GPUs

Beside settings.json, `data/` holds what every step learns from, with texts as numbers of tokens: `tokens.bin` (int32, one text after
the other), `offsets.bin` (int64: where each begins, and the end), and `steps.jsonl`, one step a line, already in the order of
training and without duplicates in a batch where that was possible. A line says which texts the queries are made of (`mix`: weights
of their vectors), which documents there are, and which of them may not count as negatives of a query.

The texts of a step are shared among all processes, and so is its loss: every document of the batch is a candidate of every query,
wherever it was encoded. A share larger than a mini-batch goes through the encoder twice (GradCache, arXiv 2101.06983). The result
does not depend on the number of processes, but for rounding and dropout.

`output/` receives checkpoints, `log.jsonl` (one line a step or evaluation, printed, too) and `evaluated/`, the weights at each
evaluation. The run resumes from its last checkpoint.
"""

import contextlib
import json
import math
import os
import sys
import time
from pathlib import Path

import numpy
import torch
import torch.distributed as distributed
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from torch.nn.functional import log_softmax, normalize
from torch.utils.data import DataLoader, Dataset

FORBIDDEN = -1e9
WEIGHTS = "trained.safetensors"


class Steps(Dataset):
    """The lines of a file, each found by its place."""

    column_names = ()

    def __init__(self, file):
        self.file = open(file, "rb")
        self.places, place = [], 0
        for line in self.file:
            self.places.append(place)
            place += len(line)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, at):
        self.file.seek(self.places[at])
        return json.loads(self.file.readline())


class Texts:
    """The tokens of texts by their numbers, mapped from a file, and how they are padded."""

    def __init__(self, folder, pad):
        self.tokens = numpy.memmap(folder / "tokens.bin", dtype="<i4", mode="r")
        self.offsets = numpy.fromfile(folder / "offsets.bin", dtype="<i8")
        self.pad = pad

    def length(self, number):
        return int(self.offsets[number + 1] - self.offsets[number])

    def features(self, numbers, device):
        longest = max(self.length(one) for one in numbers)
        ids = numpy.full((len(numbers), longest), self.pad, dtype=numpy.int64)
        mask = numpy.zeros((len(numbers), longest), dtype=numpy.int64)
        for row, number in enumerate(numbers):
            text = self.tokens[self.offsets[number] : self.offsets[number + 1]]
            ids[row, : len(text)], mask[row, : len(text)] = text, 1
        both = {"input_ids": ids, "attention_mask": mask}
        return {name: torch.from_numpy(table).to(device) for name, table in both.items()}


class Processes:
    """This process among all of them; alone, nothing is exchanged."""

    def __init__(self):
        self.count = distributed.get_world_size() if distributed.is_initialized() else 1
        self.rank = distributed.get_rank() if self.count > 1 else 0

    def share(self, lengths):
        """Texts dealt out, the longest first: the rows of each process."""
        order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
        return [order[rank :: self.count] for rank in range(self.count)]

    def gather(self, mine, shares, rows):
        """The vectors of all processes by their rows // [rows, hidden]"""
        if self.count == 1:
            parts = [mine]
        else:
            sent = mine.new_zeros(max(map(len, shares)), mine.shape[1])
            sent[: len(mine)] = mine
            parts = [torch.empty_like(sent) for _ in shares]
            distributed.all_gather(parts, sent)
        whole = mine.new_zeros(rows, mine.shape[1])
        for part, share in zip(parts, shares):
            whole[share] = part[: len(share)]
        return whole

    def sum(self, tensor):
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor


class Encoder:
    """A sentence-transformers encoder over tokens: pooled vectors, not normalised, in mini-batches."""

    def __init__(self, model, texts, settings):
        self.model, self.texts = model, texts
        self.size, self.tokens = settings["miniBatchSize"], settings["miniBatchTokens"]
        self.hidden = settings["hidden"]

    def cut(self, numbers):
        """Texts in mini-batches: their rows, the longest first."""
        lengths = [self.texts.length(one) for one in numbers]
        batches = []
        for row in sorted(range(len(numbers)), key=lambda row: (-lengths[row], row)):
            last = batches[-1] if batches else None
            if last and len(last) < self.size and (len(last) + 1) * lengths[last[0]] <= self.tokens:
                last.append(row)
            else:
                batches.append([row])
        return batches

    def forward(self, numbers):
        device = next(self.model.parameters()).device
        features = self.model[1](self.model[0](self.texts.features(numbers, device)))
        return features["sentence_embedding"].float()

    def vectors(self, numbers):
        """Without gradients // [texts, hidden]"""
        device = next(self.model.parameters()).device
        result = torch.zeros(len(numbers), self.hidden, device=device)
        with torch.no_grad():
            for rows in self.cut(numbers):
                result[rows] = self.forward([numbers[row] for row in rows])
        return result


class RandomState:
    """The state of the generators that dropout draws from, to draw the same again."""

    def __init__(self):
        self.cpu = torch.get_rng_state()
        self.gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None

    @contextlib.contextmanager
    def again(self):
        now = RandomState()
        self.set()
        yield
        now.set()

    def set(self):
        torch.set_rng_state(self.cpu)
        if self.gpu is not None:
            torch.cuda.set_rng_state(self.gpu)


class ExpandedQueryLoss:
    """The loss of a step whose queries are weighted means of vectors: of a query and its expansions."""

    def __init__(self, encoder, frozen, settings, processes):
        self.encoder, self.frozen, self.settings, self.processes = encoder, frozen, settings, processes

    def train(self, step, autocast):
        """Adds the gradients of this process's share to the weights. Returns the figures of the whole step."""
        learnt = self.learnt(step)
        shares = self.processes.share([self.encoder.texts.length(one) for one in learnt])
        mine = [learnt[row] for row in shares[self.processes.rank]]
        batches = self.encoder.cut(mine)
        graphs, states = [], []
        with autocast():
            for rows in batches:
                states.append(RandomState())
                with torch.set_grad_enabled(len(batches) == 1):
                    graphs.append(self.encoder.forward([mine[row] for row in rows]))
        own = torch.zeros(len(mine), self.encoder.hidden, device=self.device())
        for rows, vectors in zip(batches, graphs):
            own[rows] = vectors.detach()
        whole = self.processes.gather(own, shares, len(learnt)).requires_grad_()
        with autocast():
            given = self.given(step)
        figures = self.figures(whole, step, given)
        figures["loss"].backward()
        slopes = self.processes.sum(whole.grad)[shares[self.processes.rank]]
        for rows, vectors, state in zip(batches, graphs, states):
            if len(batches) > 1:
                with state.again(), autocast():
                    vectors = self.encoder.forward([mine[row] for row in rows])
            vectors.backward(slopes[rows])
        return self.summed(figures)

    def evaluate(self, step, autocast):
        learnt = self.learnt(step)
        with torch.no_grad(), autocast():
            vectors = self.shared(self.encoder, learnt)
            return self.summed(self.figures(vectors, step, self.given(step)))

    def learnt(self, step):
        return step["texts"] + (step["documents"] if self.settings["train"] == "both" else [])

    def shared(self, encoder, numbers):
        """Vectors without gradients, computed by all processes."""
        shares = self.processes.share([encoder.texts.length(one) for one in numbers])
        mine = encoder.vectors([numbers[row] for row in shares[self.processes.rank]])
        return self.processes.gather(mine, shares, len(numbers))

    def given(self, step):
        """Vectors of the encoder as it came: documents that stay as they are, and a teacher's queries."""
        given = {}
        if self.settings["train"] != "both":
            given["documents"] = self.shared(self.frozen, step["documents"])
        if self.settings["method"] == "distil":
            numbers = [number for texts in step["teacher"] for number, _ in texts]
            parts = self.text(self.shared(self.frozen, numbers))
            rows = [row for row, texts in enumerate(step["teacher"]) for _ in texts]
            weights = [weight for texts in step["teacher"] for _, weight in texts]
            given["teacher"] = self.mixed(parts, rows, range(len(numbers)), weights, len(step["teacher"]))
        return given

    def figures(self, vectors, step, given):
        """This process's part of loss and metrics: that of its queries."""
        queries = list(enumerate(step["queries"]))[self.processes.rank :: self.processes.count]
        sizes = self.settings.get("matryoshka") or [vectors.shape[1]]
        zero = vectors.sum() * 0
        figures = {"loss": zero, "accuracy": zero.detach(), "similarity": zero.detach(), "negatives": zero.detach()}
        if not queries:
            return figures
        for place, size in enumerate(sizes):
            loss, scores, bias, targets = self.of_size(vectors, size, step, queries, given)
            figures["loss"] = figures["loss"] + loss
            if place == 0:
                best = scores.gather(1, targets[:, None])
                accurate = ~((scores > best) & (bias == 0)).any(1)
                total = step["total"]
                figures["accuracy"] = accurate.sum() / total
                figures["similarity"] = best.sum().detach() / total
                figures["negatives"] = ((bias == 0).sum() - len(queries)) / total
        return figures

    def of_size(self, vectors, size, step, queries, given):
        s = self.settings
        texts = self.text(vectors[:, :size])
        mix = [(at, row, weight) for at, (_, query) in enumerate(queries) for row, weight in query["mix"]]
        asked = self.compared(self.mixed(texts, *zip(*mix), len(queries)))
        if s["train"] == "both":
            documents = self.compared(texts[len(step["texts"]) :])
        else:
            documents = self.compared(self.text(given["documents"][:, :size]))
        scores = asked @ documents.T  # [queries, documents]
        targets = torch.tensor([query["target"] for _, query in queries], device=scores.device)
        bias = torch.zeros_like(scores)
        for at, (_, query) in enumerate(queries):
            bias[at, query["forbidden"]] = FORBIDDEN
        total = step["total"]
        infonce = lambda: self.infonce(scores, bias, targets) / total  # noqa: E731
        if s["method"] == "infonce":
            return infonce(), scores, bias, targets
        if s["method"] == "distil":
            teacher = self.compared(given["teacher"][[at for at, _ in queries], :size])
            loss = ((asked - teacher) ** 2).sum() / total
        elif s["method"] == "margin-mse":
            loss = self.margins(scores, targets, queries) * (len(step["queries"]) / total) / self.pairs(step)
        else:
            loss = self.listwise(scores, queries) / total
        weight = s["infonceWeight"]
        return (loss + weight * infonce() if weight else loss), scores, bias, targets

    def infonce(self, scores, bias, targets):
        logits = scores / self.settings["temperature"] + bias
        positive = scores.gather(1, targets[:, None])
        others = torch.ones_like(scores, dtype=torch.bool).scatter(1, targets[:, None], False)
        for name, limit in (("absoluteMargin", lambda m: positive - m), ("relativeMargin", lambda m: positive * (1 - m))):
            margin = self.settings.get(name)
            if margin is not None:
                logits = logits.masked_fill((limit(margin) < scores) & others, FORBIDDEN)
        return -log_softmax(logits, dim=-1).gather(1, targets[:, None]).sum()

    def margins(self, scores, targets, queries):
        rows = [at for at, (_, query) in enumerate(queries) for _ in query["negatives"]]
        columns = [column for _, query in queries for column, _ in query["negatives"]]
        wanted = [query["score"] - score for _, query in queries for _, score in query["negatives"]]
        found = scores.gather(1, targets[:, None])[rows, 0] - scores[rows, columns]
        return ((found - torch.tensor(wanted, device=scores.device)) ** 2).sum()

    def pairs(self, step):
        return max(1, sum(len(query["negatives"]) for query in step["queries"]))

    def listwise(self, scores, queries):
        loss = scores.sum() * 0
        for at, (_, query) in enumerate(queries):
            group = {**dict(query["negatives"]), query["target"]: query["score"]}
            teacher = torch.tensor(list(group.values()), device=scores.device) / self.settings["teacherTemperature"]
            wanted = log_softmax(teacher, dim=-1)
            found = log_softmax(scores[at, list(group)] / self.settings["temperature"], dim=-1)
            loss = loss + (wanted.exp() * (wanted - found)).sum()
        return loss

    def mixed(self, parts, rows, columns, weights, count):
        """Weighted sums of rows of parts // [count, hidden]"""
        weights = torch.tensor(weights, dtype=parts.dtype, device=parts.device)
        rows = torch.tensor(rows, device=parts.device)
        chosen = parts[torch.tensor(list(columns), device=parts.device)] * weights[:, None]
        return parts.new_zeros(count, parts.shape[1]).index_add(0, rows, chosen)

    def text(self, vectors):
        return normalize(vectors, dim=-1) if self.settings["normalize"] else vectors

    def compared(self, vectors):
        return normalize(vectors, dim=-1) if self.settings["similarity"] == "cosine" else vectors

    def summed(self, figures):
        whole = self.processes.sum(torch.stack([value.detach().double() for value in figures.values()]))
        return dict(zip(figures, whole.tolist()))

    def device(self):
        return next(self.encoder.model.parameters()).device


def only(items):
    """Each line of steps.jsonl is a batch by itself."""
    return items[0]


class Trained:
    """The weights that are trained, under the names of llm-qe."""

    def __init__(self, model, settings):
        own = dict(model[0].named_parameters())
        found = {name.split(".", 1)[1].replace(".default.", "."): value for name, value in own.items()}
        self.weights = {name: found[torch_name(name, settings["prefix"])] for name in settings["parameters"]}
        for parameter in own.values():
            parameter.requires_grad_(False)
        for weight in self.weights.values():
            weight.requires_grad_(True)

    def load(self, file):
        tensors = load_file(file)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[name])

    def save(self, file):
        tensors = {name: weight.detach().cpu().contiguous() for name, weight in self.weights.items()}
        save_file(tensors, f"{file}.partial")
        os.replace(f"{file}.partial", file)


def torch_name(name, prefix):
    """Checkpoints converted from TensorFlow call scale and shift gamma and beta."""
    return name.removeprefix(prefix).replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


class Trainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer over steps that are already planned, and gradients summed over processes."""

    def __init__(self, loss, trained, settings, output, model, **rest):
        super().__init__(model=model, loss=model, **rest)  # the optimiser gets the weights of what is called loss
        self.step_loss, self.trained, self.settings, self.output = loss, trained, settings, output
        self.started = time.time()
        bf16 = settings["engine"]["precision"] == "bfloat16"
        self.autocast = lambda: torch.autocast(self.args.device.type, dtype=torch.bfloat16, enabled=bf16)

    def add_model_card_callback(self, default_args_dict):
        pass

    def get_train_dataloader(self):
        return DataLoader(self.train_dataset, batch_size=1, collate_fn=only)

    def _prepare_inputs(self, inputs):
        return inputs

    def training_step(self, model, inputs, num_items_in_batch=None):
        model.train()
        self.figures = self.step_loss.train(inputs, self.autocast)
        self.tokens = inputs["tokens"]
        for weight in self.trained.weights.values():
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            self.step_loss.processes.sum(weight.grad)
        if not math.isfinite(self.figures["loss"]):
            self.record("train", self.figures, step=self.state.global_step + 1)
            raise FloatingPointError(f"step {self.state.global_step + 1}: the loss is not finite")
        return torch.tensor(self.figures["loss"], device=self.args.device)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):
        self.model.eval()
        figures = {}
        for at in range(len(self.eval_dataset)):
            for name, value in self.step_loss.evaluate(self.eval_dataset[at], self.autocast).items():
                figures[name] = figures.get(name, 0) + value
        self.record("dev", figures)
        self.control.should_evaluate = False
        return {f"eval_{name}": value for name, value in figures.items()}

    def log(self, logs, start_time=None):
        if "grad_norm" in logs:
            now = time.time()
            speed = self.tokens / max(1e-9, now - self.started)
            self.started = now
            more = {"gradientNorm": logs["grad_norm"], "learningRate": logs["learning_rate"]}
            self.record("train", {**self.figures, **more, "tokens": self.tokens, "tokensPerSecond": speed})
            step = self.state.global_step
            if step % self.settings["evalSteps"] == 0 or step == len(self.train_dataset):
                self.control.should_evaluate = self.eval_dataset is not None
                if self.settings["keeps"] and self.is_world_process_zero():
                    (self.output / "evaluated").mkdir(exist_ok=True)
                    self.trained.save(self.output / "evaluated" / f"{step}.safetensors")

    def record(self, split, figures, step=None):
        if not self.is_world_process_zero():
            return
        step = step or self.state.global_step
        values = {name: value if math.isfinite(value) else None for name, value in figures.items()}
        record = {"time": int(time.time() * 1000), "step": step, "epoch": step / self.settings["stepsPerEpoch"]}
        line = json.dumps({**record, "split": split, "values": values})
        with open(self.output / "log.jsonl", "a") as file:
            file.write(f"{line}\n")
        print(line, flush=True)

    def _save(self, output_dir=None, state_dict=None):
        os.makedirs(output_dir, exist_ok=True)
        self.trained.save(Path(output_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        self.trained.load(Path(resume_from_checkpoint) / WEIGHTS)


def last_checkpoint(output):
    """The newest complete checkpoint: the trainer writes its state last."""
    found = {int(one.parent.name.split("-")[1]): str(one.parent) for one in output.glob("checkpoint-*/trainer_state.json")}
    return found[max(found)] if found else None


def arguments(settings, output, steps, has_dev):
    loop, engine = settings["loop"], settings["engine"]
    cpu = engine["hardware"] == "cpu"
    constant = loop["lrScheduler"] == "constant"
    return SentenceTransformerTrainingArguments(
        output_dir=str(output),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=loop["learningRate"],
        lr_scheduler_type="constant_with_warmup" if constant else loop["lrScheduler"],
        warmup_steps=settings["warmupSteps"],
        weight_decay=loop["weightDecay"],
        adam_beta1=loop["betas"][0],
        adam_beta2=loop["betas"][1],
        adam_epsilon=loop["epsilon"],
        max_grad_norm=loop.get("maxGradNorm") or 1e9,  # the norm is reported only if clipping is on
        seed=loop["seed"],
        bf16=engine["precision"] == "bfloat16",
        use_cpu=cpu,
        ddp_backend="gloo" if cpu else None,
        eval_strategy="steps" if has_dev else "no",
        eval_steps=settings["evalSteps"],
        save_strategy="steps",
        save_steps=loop["saveSteps"],
        save_total_limit=2,
        logging_steps=1,
        disable_tqdm=True,
        report_to="none",
    )


def load_encoder(settings):
    path = os.environ.get("MODEL") or settings["encoder"]
    dropout = {"hidden_dropout_prob": settings["hiddenDropout"], "attention_probs_dropout_prob": 0.0}
    device = "cpu" if settings["engine"]["hardware"] == "cpu" else None
    return SentenceTransformer(path, device=device, model_kwargs={"dtype": torch.float32}, config_kwargs=dropout)


def add_adapter(model, lora):
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora["loraR"], lora_alpha=lora["loraAlpha"], lora_dropout=lora["loraDropout"], target_modules=lora["targets"]
    )
    inject_adapter_in_model(config, model[0])


def main(file):
    folder = Path(file).resolve().parent
    settings = json.loads(Path(file).read_text())
    data, output = folder / "data", folder / "output"
    steps = Steps(data / "steps.jsonl")
    dev = Steps(data / "dev-steps.jsonl") if (data / "dev-steps.jsonl").exists() else None
    output.mkdir(exist_ok=True)
    args = arguments(settings, output, len(steps), dev is not None)  # also joins the processes
    model = load_encoder(settings)
    if settings["lora"]:
        add_adapter(model, settings["lora"])
    trained = Trained(model, settings)
    if settings["lora"]:
        trained.load(data / "initial.safetensors")
    needs_frozen = settings["train"] != "both" or settings["method"] == "distil"
    frozen = load_encoder(settings).eval().to(args.device) if needs_frozen else None
    texts = Texts(data, settings["padId"])
    encoders = [one and Encoder(one, texts, settings) for one in (model, frozen)]
    loss = ExpandedQueryLoss(*encoders, settings, Processes())
    trainer = Trainer(loss, trained, settings, output, model=model, args=args, train_dataset=steps, eval_dataset=dev)
    trainer.train(resume_from_checkpoint=last_checkpoint(output))


if __name__ == "__main__":
    main(sys.argv[1])
