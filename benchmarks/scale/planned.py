"""What a GPU would take at a rate that is taken for granted: FLOPs are counted on a CPU, and nothing is timed."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from v2l.config.tree import Config
from v2l.experiments import in_context
from v2l.experiments.windows import Restorer, draw_variants
from v2l.models.llm import Llm
from v2l.models.llm_decoding import Decoding
from v2l.prompts.masked import MaskedPrompt
from v2l.runtime import Runtime

from ..common.machine import Measured
from ..common.sizes import Size
from ..common.stand_ins import random_llm
from .counts import Lengths
from .language import (
    Work,
    answers_work,
    caption_text,
    context_queries,
    expansion_work,
    few_shot_requests,
    lora_work,
    masked_work,
    restoration_jobs,
    restoration_work,
    vqa_text,
)
from .pictures import configured_tokenizer, measure_pictures

START = 0

Rates = dict[bool, float]  # FLOP/s in the configured precision (False) and in fp32 (True)


def planned(
    config: Config, size: Size, runtime: Runtime, gpus: int, lengths: Lengths, rates: Rates, folder: Path
) -> Iterator[tuple[str, Measured]]:
    """As what is measured, with the seconds that its FLOPs take at these rates.

    Networks on pictures work once, on the CPU; of the LLM there are shapes alone, and answers are as long as they may.
    """
    once = replace(size, image_batch=1, passes=1, steps=1)
    for name, each in measure_pictures(config, once, runtime, gpus, folder, lambda *_: math.nan):
        yield name, replace(each, seconds=each.flops / rates[each.fp32], memory_bytes=None)
    llm = random_llm(size, replace(runtime, device=torch.device("meta")))
    for name, (items, flops) in _language(llm, config, configured_tokenizer(config, size).grid, size, lengths):
        yield name, Measured(items, flops, flops / rates[False])


def _language(llm: Llm, config: Config, grid: int, size: Size, lengths: Lengths) -> Iterator[tuple[str, Work]]:
    yield "expansion", expansion_work(llm, config.vocab.expand.prompt, size.tokens)
    few_shot = few_shot_requests(llm, config, size.episodes, lengths)
    yield "few-shot", answers_work(llm, few_shot, [_an_answer(request.decoding) for request in few_shot])
    yield "restoration", _restoration(llm, config, grid)
    for name, section, prompt in (("captions", config.caption, caption_text), ("vqa", config.vqa, vqa_text)):
        queries = context_queries(prompt, section, size.items, lengths)
        requests = in_context.make_requests(queries, llm, section.max_new_tokens)
        yield name, answers_work(llm, requests, [_an_answer(request.decoding) for request in requests])
    mask, lora = config.masked.mask, config.masked.lora
    yield "masked maps", masked_work(llm, size.masked, grid, round(mask.share * grid**2) * size.masked)
    prompt = MaskedPrompt.make(llm, mask.text)
    length = len(prompt.head) + len(prompt.arrow) + 2 * grid**2
    yield "LoRA", lora_work(llm, lora.batch_size, length, size.lora_steps)


def _an_answer(decoding: Decoding) -> list[int]:
    """The first of what is allowed throughout; where any id is, the stand-in's start token, which ends nothing."""
    ids: list[int] = []
    while (allowed := decoding.allowed(ids)) is None or allowed:
        ids.append(START if allowed is None else allowed[0])
    return ids


def _restoration(llm: Llm, config: Config, grid: int) -> Work:
    protocol = config.restore.protocol
    restorer = Restorer(llm, protocol, grid, llm.vocab_size, config.seed)
    requests = [
        restorer.request(job, draw_variants(job, protocol, llm.vocab_size, config.seed), window, job.degraded)
        for job in restoration_jobs(llm, 1, grid)
        for window in restorer.windows(job.task)
    ]
    return restoration_work(llm, [request.num_prompt_tokens for request in requests], protocol.num_predicted)
