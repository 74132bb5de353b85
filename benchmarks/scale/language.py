"""What the LLM works on, by the suite's own request builders, with random weights and words."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn

from v2l.conditions import PICTURE_WORDS, RANDOM_WORDS
from v2l.config.caption import CaptionConfig
from v2l.config.fewshot import InductionSetting, RunConfig
from v2l.config.tree import Config
from v2l.config.vqa import VqaConfig
from v2l.data.episodes import Episode
from v2l.experiments import in_context
from v2l.experiments.classify import make_decisions, make_requests
from v2l.experiments.in_context import Query
from v2l.experiments.masked import fill_in
from v2l.experiments.windows import Job, Restorer
from v2l.models.llm import Llm
from v2l.models.llm_generation import Request
from v2l.prompts.caption import caption_prompt
from v2l.prompts.fewshot import join_words
from v2l.prompts.masked import MaskedPrompt, draw_mask
from v2l.prompts.restore import RestorationPrompt
from v2l.prompts.vqa import vqa_prompt
from v2l.runtime import Runtime
from v2l.training.lora import add_adapter, batch, take_step
from v2l.vocab.expand import expand_tokens

from ..common.llm_work import engine_flops, forward_flops, prompt_reads
from ..common.machine import Measured, peak_memory, reset_peak_memory, seconds_of
from ..common.sizes import Size
from ..common.stand_ins import random_llm, words
from .counts import Lengths
from .pictures import configured_tokenizer

Work = tuple[dict[str, float], float]  # items by unit, and FLOPs of all of them

WAYS, SHOTS, NUM_GLOBAL = 5, 5, 21  # the longest prompt of Table 1
TASKS = ("inpainting", "rotation")  # a task filled in window by window, and one whose windows are one batch


def measure_language(config: Config, size: Size, runtime: Runtime, lengths: Lengths) -> Iterator[tuple[str, Measured]]:
    """Every use of the LLM, shortest first; tuning last, as it changes the model and takes most memory."""
    llm = random_llm(size, runtime)
    grid = configured_tokenizer(config, size).grid
    reset_peak_memory(runtime.device)
    yield "expansion", _measure_expansion(llm, config, size, runtime)
    few_shot = few_shot_requests(llm, config, size.episodes, lengths)
    yield "few-shot", _measure_answers(llm, few_shot, runtime)
    yield "restoration", _measure_restoration(llm, config, size, grid, runtime)
    for name, section, prompt in (("captions", config.caption, caption_text), ("vqa", config.vqa, vqa_text)):
        queries = context_queries(prompt, section, size.items, lengths)
        requests = in_context.make_requests(queries, llm, section.max_new_tokens)
        yield name, _measure_answers(llm, requests, runtime)
    yield "masked maps", _measure_masked(llm, config, size, grid, runtime)
    yield "LoRA", _measure_lora(llm, config, size, grid, runtime)


def _measure_expansion(llm: Llm, config: Config, size: Size, runtime: Runtime) -> Measured:
    ids, prompt = range(min(size.tokens, llm.vocab_size)), config.vocab.expand.prompt
    seconds = seconds_of(lambda: expand_tokens(llm, prompt, ids), runtime.device)
    return Measured(*expansion_work(llm, prompt, len(ids)), seconds, peak_memory(runtime.device))


def expansion_work(llm: Llm, prompt: str, count: int) -> Work:
    """Of two tokens that each vocabulary token adds, the first is read; the prompt is one for all."""
    before = len(llm.start_ids) + len(llm.tokenize([prompt])[0])
    return {"tokens": count}, forward_flops(llm, [(2, before)] * count, 2 * count)


def _measure_answers(llm: Llm, requests: Sequence[Request], runtime: Runtime) -> Measured:
    answers: list[list[int]] = []
    llm.answer(requests[:1])  # warm
    seconds = seconds_of(lambda: answers.extend(llm.answer(requests)), runtime.device, warm_up=False)
    return Measured(*answers_work(llm, requests, answers), seconds, peak_memory(runtime.device))


def answers_work(llm: Llm, requests: Sequence[Request], answers: Sequence[Sequence[int]]) -> Work:
    read = sum(count for count, _ in prompt_reads(requests))
    return {"questions": len(requests), "prompt tokens": read}, engine_flops(llm, requests, answers)


def few_shot_requests(llm: Llm, config: Config, count: int, lengths: Lengths) -> list[Request]:
    """A question of every episode, with the most pictures and words that Table 1 has."""
    generator = np.random.default_rng(0)
    names = tuple(each.strip() for each in words(WAYS, lengths.name, generator))
    ids = tuple(str(i) for i in range(WAYS * SHOTS))
    episodes, shown = [], {}
    for number in range(count):
        mine = tuple(f"{number}/{i}" for i in (*ids, "query"))
        shown |= {image_id: words(NUM_GLOBAL, lengths.ngram, generator) for image_id in mine}
        order = tuple(generator.permutation(len(ids)).tolist())
        episodes.append(Episode(str(number), WAYS, names, mine[:-1], order, mine[-1], names[0]))
    run = RunConfig(words="v2l", num_global=[NUM_GLOBAL], settings=[InductionSetting(shots=SHOTS)])
    decisions = make_decisions(episodes, {SHOTS: set(episodes)}, shown, run, config.fewshot.answer.separator)
    return make_requests(decisions, llm, config.fewshot.answer)


def _measure_restoration(llm: Llm, config: Config, size: Size, grid: int, runtime: Runtime) -> Measured:
    """Inpainting of several pictures at once, and a whole map of one."""
    protocol = config.restore.protocol
    restorer = Restorer(llm, protocol, grid, llm.vocab_size, config.seed)
    jobs, rows = restoration_jobs(llm, size.windowed, grid), []

    def restore() -> None:
        rows.extend(restorer.restore(jobs, lambda _: None)[1])

    seconds = seconds_of(restore, runtime.device, warm_up=False)
    work = restoration_work(llm, [row["num_prompt_tokens"] for row in rows], protocol.num_predicted)
    return Measured(*work, seconds, peak_memory(runtime.device))


def restoration_jobs(llm: Llm, count: int, grid: int) -> list[Job]:
    """So many pictures of the task that is filled in window by window, and one whose map is filled in at once."""
    maps = np.random.default_rng(0).integers(llm.vocab_size, size=(count + 1, 2, grid**2))
    return [Job(str(i), TASKS[i == count], *pair) for i, pair in enumerate(maps)]


def restoration_work(llm: Llm, lengths: Sequence[int], num_predicted: int) -> Work:
    """lengths: tokens of each window's prompt. The instruction is read once, and not counted."""
    shared = len(RestorationPrompt.make(llm, num_predicted).instruction)
    reads = [(length - shared + num_predicted - 1, shared) for length in lengths]
    items = {"windows": len(lengths), "prompt tokens": sum(lengths) - shared * len(lengths)}
    return items, forward_flops(llm, reads, len(lengths) * num_predicted)


Prompt = Callable[[Sequence[str], str, Lengths, np.random.Generator], str]


def caption_text(samples: Sequence[str], query: str, lengths: Lengths, generator: np.random.Generator) -> str:
    return caption_prompt([(shown, _text(lengths.caption, generator)) for shown in samples], query)


def vqa_text(samples: Sequence[str], query: str, lengths: Lengths, generator: np.random.Generator) -> str:
    texts = [
        (shown, _text(lengths.question, generator), _text(lengths.answer, generator)) for shown in samples
    ]  # fmt: skip
    return vqa_prompt(texts, (query, _text(lengths.question, generator)))


def _text(tokens: float, generator: np.random.Generator) -> str:
    return "".join(words(1, tokens, generator)).strip()


def context_queries(prompt: Prompt, section: CaptionConfig | VqaConfig, count: int, lengths: Lengths) -> list[Query]:
    """Both conditions of so many items, which share their context."""
    generator = np.random.default_rng(0)

    def shown() -> str:
        return join_words(words(section.num_global, lengths.ngram, generator), section.separator)

    queries = []
    for item in range(count):
        samples, seed = [shown() for _ in range(section.num_context)], int(generator.integers(2**31))
        for condition in (PICTURE_WORDS, RANDOM_WORDS):
            text = prompt(samples, shown(), lengths, np.random.default_rng(seed))
            queries.append(Query(str(item), condition, text, (), f"item {item}, {condition}"))
    return queries


def _measure_masked(llm: Llm, config: Config, size: Size, grid: int, runtime: Runtime) -> Measured:
    """Maps with holes at other places share few passes."""
    image_ids = [str(i) for i in range(size.masked)]
    maps = np.random.default_rng(0).integers(llm.vocab_size, size=(len(image_ids), grid**2))
    holes = np.stack([draw_mask(grid**2, config.masked.mask.share, config.seed, i) for i in image_ids])

    def fill() -> None:
        fill_in(llm, image_ids, maps, holes, config.masked.mask.text, llm.vocab_size, "benchmark")

    seconds = seconds_of(fill, runtime.device, warm_up=False)
    return Measured(*masked_work(llm, len(maps), grid, int(holes.sum())), seconds, peak_memory(runtime.device))


def masked_work(llm: Llm, count: int, grid: int, num_holes: int) -> Work:
    """Each map is read and then written, about."""
    return {"pictures": count}, forward_flops(llm, [(2 * grid**2, 0)] * count, num_holes)


def _measure_lora(llm: Llm, config: Config, size: Size, grid: int, runtime: Runtime) -> Measured:
    """Steps of `v2l.training.lora.tune_lora`."""
    lora, mask = config.masked.lora, config.masked.mask
    prompt = MaskedPrompt.make(llm, mask.text)
    image_ids = [str(i) for i in range(lora.batch_size)]
    maps = np.random.default_rng(0).integers(llm.vocab_size, size=(len(image_ids), grid**2))
    sequences = batch(0, image_ids, maps, prompt, mask.share, lora.batch_size, config.seed)
    work = lora_work(llm, *sequences[0].shape, size.lora_steps)
    model = add_adapter(llm, lora, "random", config.seed)
    trained = nn.ParameterList(each for each in model.parameters() if each.requires_grad)
    optimiser = torch.optim.AdamW(trained, weight_decay=0.0)
    reset_peak_memory(runtime.device)
    step = partial(take_step, model, optimiser, *sequences, lora.learning_rate)
    seconds = seconds_of(step, runtime.device, size.lora_steps)
    return Measured(*work, seconds, peak_memory(runtime.device))


def lora_work(llm: Llm, batch_size: int, length: int, steps: int) -> Work:
    """Frozen weights get no gradient: twice a pass's FLOPs, not three times."""
    return {"steps": steps}, 2 * steps * forward_flops(llm, [(length, 0)] * batch_size, batch_size * length)
