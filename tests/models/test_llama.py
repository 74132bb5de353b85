"""What the paper asks of LLaMA, put to a small random one with a real 32,000-piece SentencePiece model."""

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from v2l.config.fewshot import AnswerConfig, InductionSetting
from v2l.config.llm import LlmConfig
from v2l.config.restore import RestoreProtocol
from v2l.data.episodes import Episode
from v2l.experiments.classify import Decision, make_requests
from v2l.experiments.windows import Job, Restorer, draw_variants
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free
from v2l.models.llm_generation import Request
from v2l.prompts.fewshot import classification_prompt
from v2l.prompts.masked import MaskedPrompt
from v2l.runtime import Runtime
from v2l.vocab.expand import candidate_rows, expand_tokens

from .test_llm_generation import plain_answer

VOCAB = 32_000
CLASS_NAMES = ("sea", "sea lion", "giraffe 🦒", "émigré", "日本")


@pytest.fixture(scope="module")
def llm(llama_folder: Path) -> Llm:
    runtime = Runtime(torch.device("cpu"), torch.float32, image_batch=1, llm_batch_tokens=1024)
    return load_llm(LlmConfig(source=str(llama_folder)), runtime)


@pytest.fixture(scope="module")
def model(llama_folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(llama_folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def library(sentencepiece_file: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_file))


def prompt_ids(request: Request) -> list[int]:
    return [token_id for segment in request.segments for token_id in segment]


def test_all_pieces_can_be_generated(llm: Llm):
    assert llm.vocab_size == len(llm.token_texts) == VOCAB


def test_greedy_answers_equal_a_plain_loop(llm: Llm, model, library):
    texts = ["Once upon a time", "Once upon a cat", "日本語 🦒", "a photo of", ""]
    requests = [Request(((1, *library.encode(text)),), Free(6)) for text in texts]
    assert llm.generate(requests, "test") == [plain_answer(model, request, VOCAB) for request in requests]


def test_expansion_equals_a_plain_loop(llm: Llm, model, library):
    """A piece with a blank stands where the tokenizer would put it; any other after the whole prompt."""
    pieces = ["▁cat", "ing", "▁", "▁▁", "<0x0A>", "</s>", "日", "s"]
    token_ids = [library.piece_to_id(piece) for piece in pieces]
    expected = []
    for piece, token_id in zip(pieces, token_ids, strict=True):
        prefix = library.encode("a photo of" if piece.startswith("▁") else "a photo of ")
        answer = plain_answer(model, Request(((1, *prefix, token_id),), Free(2)), VOCAB)
        expected.append([token_id, *answer])
    trigrams = expand_tokens(llm, "a photo of ", token_ids)
    assert trigrams.tolist() == expected
    texts = candidate_rows(llm, trigrams)["text"].tolist()
    assert texts[: len(pieces)] == [" cat", "ing", " ", "  ", "\n", "</s>", "日", "s"]


@pytest.mark.parametrize("constraint", ["exact", "positionwise"])
def test_a_constrained_answer_is_a_class_name_as_the_library_cuts_it(llm: Llm, model, library, constraint):
    decisions = []
    for query in CLASS_NAMES:
        ids = tuple(f"{name}/1" for name in CLASS_NAMES)
        episode = Episode("5-way/0", 5, CLASS_NAMES, ids, (0, 1, 2, 3, 4), f"{query}/new", query)
        supports = [(f"{name}, words", name) for name in CLASS_NAMES]
        prompt = classification_prompt(CLASS_NAMES, supports, f"{query}, <s>, fish", True, 0)
        decisions.append(Decision(episode, 1, InductionSetting(), prompt))
    requests = make_requests(decisions, llm, AnswerConfig(constraint=constraint))
    answers = llm.generate(requests, "test")
    assert answers == [plain_answer(model, request, VOCAB) for request in requests]
    whole = {
        name: library.encode(f"{decisions[0].prompt}{name}\n###\n")[len(prompt_ids(requests[0])) - 1 :]
        for name in CLASS_NAMES
    }
    for decision, request, answer in zip(decisions, requests, answers, strict=True):
        assert prompt_ids(request) == [1, *library.encode(decision.prompt.removesuffix(" "))]
        for name in CLASS_NAMES:  # every name may be answered, id by id
            ids = whole[name]
            end = ids.index(library.piece_to_id("<0x0A>"))
            for position, token_id in enumerate(ids[:end]):
                assert token_id in request.decoding.allowed(ids[:position])
        if constraint == "exact":
            assert llm.decode([answer])[0].strip() in CLASS_NAMES


def test_restoration_puts_raw_ids_between_the_words(llm: Llm, model, library):
    protocol = RestoreProtocol(tasks=["inpainting"], num_before=3, replaced=[0.25, 0.5])
    clean, degraded = np.random.default_rng(0).integers(VOCAB, size=(2, 16))
    job = Job("a", "inpainting", clean, degraded)
    restorer = Restorer(llm, protocol, grid=4, vocab_size=VOCAB, seed=0)
    variants = draw_variants(job, protocol, VOCAB, seed=0)
    window = restorer.windows("inpainting")[0]
    request = restorer.request(job, variants, window, degraded)
    # Between maps that are words, the words around them are cut as in the whole text.
    text = "Learning a new language and predict the 2 tokens following the examples.\n"
    lead = library.encode(text + "###\nInput: < ")
    middle = library.encode("a >\nOutput: ")[1:]
    line_end = library.piece_to_id("<0x0A>")
    before = [5 - 3, 5 - 2, 5 - 1]
    expected = [1, *library.encode(text)]
    for seen in variants.clean:
        expected += [*lead[len(library.encode(text)) :], *seen[before], *middle, *seen[list(window)], line_end]
    expected += [*lead[len(library.encode(text)) :], *degraded[before], *middle]
    assert window == (5, 6)
    assert prompt_ids(request) == expected
    assert llm.answer([request]) == [plain_answer(model, request, VOCAB)]


def test_masked_prompt_is_cut_as_the_library_cuts_the_whole_text(llm: Llm, library):
    prompt = MaskedPrompt.make(llm, "_")
    head = library.encode("Fill in the masked tokens.\nInput: < ")
    segments = prompt.segments(np.array([400, 401]), np.array([False, True]))
    assert segments[0] == (1, *head)
    assert segments[1] == (400, library.piece_to_id("_"), *library.encode("a >\nOutput: < ")[1:])
