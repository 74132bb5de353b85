"""The batched engine against the plainest loop there is: the whole sequence through the model for every new id."""

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Cohere2Config,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Phi3Config,
    PreTrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Starcoder2Config,
)

from v2l.models import llm_passes
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Generation, Request, shared_segments

VOCAB = 67
END = 0
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.5,  # logits far enough apart that float32 rounding (1e-6) decides nothing
}
ARCHITECTURES = {
    "llama": LlamaConfig(**SIZES),
    "qwen2": Qwen2Config(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=8),
    "mistral-window": MistralConfig(**SIZES, sliding_window=6),
    "mixtral": MixtralConfig(**SIZES, num_local_experts=2),
    "gemma2-window": Gemma2Config(**SIZES, head_dim=8, sliding_window=6),
    "gemma3-window": Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=6),
    "cohere2-window": Cohere2Config(**SIZES, sliding_window=6),
    "starcoder2-window": Starcoder2Config(**SIZES, sliding_window=6),
    "phi3": Phi3Config(**SIZES, pad_token_id=0),
    "olmo2": Olmo2Config(**SIZES),
    "granite": GraniteConfig(**SIZES),
    "gpt2": GPT2Config(vocab_size=VOCAB, n_embd=32, n_layer=2, n_head=4, n_positions=128, initializer_range=0.5),
    "gpt-neox": GPTNeoXConfig(**{**SIZES, "num_key_value_heads": 4}),
    "gpt-neo-window": GPTNeoConfig(
        vocab_size=VOCAB,
        hidden_size=32,
        num_layers=2,
        num_heads=4,
        attention_types=[[["global", "local"], 1]],
        window_size=6,
        max_position_embeddings=128,
        initializer_range=0.5,
    ),
}


def make_model(config: PreTrainedConfig, dtype: torch.dtype = torch.float32):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).to(dtype).eval()


@pytest.fixture(scope="module")
def llama():
    return make_model(ARCHITECTURES["llama"])


def make_requests() -> list[Request]:
    """Trees of prompts, several lengths, all rules of answers."""
    generator = np.random.default_rng(0)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(int(i) for i in generator.integers(1, VOCAB, length))

    free = Free(max_new_tokens=4, stop_ids=frozenset(range(1, 12)))
    names = [(20, 21), (20, 22, 23), (20, 22), (30,), (31, 32)]
    requests = [Request((ids(length),), free) for length in (1, 1, 3, 7, 7, 12)]
    stem, branch = ids(9), ids(5)
    requests.append(Request((stem,), free))
    requests.append(Request((stem, branch), Free(max_new_tokens=2)))
    for length in (1, 1, 2, 4, 4):
        requests.append(Request((stem, ids(length)), OneOf(names, END)))
        requests.append(Request((stem, branch, ids(length)), OneOf(names, END, "positionwise")))
    requests += [Request((stem, (token_id,)), Free(max_new_tokens=2)) for token_id in range(1, 40)]
    requests.append(requests[3])
    return requests


def plain_answer(model, request: Request, vocab_size: int = VOCAB) -> list[int]:
    prompt = [token_id for segment in request.segments for token_id in segment]
    answer: list[int] = []
    while True:
        allowed = request.decoding.allowed(answer)
        if allowed is not None and not allowed:
            return answer
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([prompt + answer]), use_cache=False).logits[0, -1, :vocab_size]
        candidates = list(range(vocab_size)) if allowed is None else list(allowed)
        answer.append(max(candidates, key=lambda token_id: float(logits[token_id])))


def run(model, requests, batch_tokens: int = 256, vocab_size: int = VOCAB) -> list[list[int]]:
    generation = Generation(model, requests, vocab_size, batch_tokens)
    read = []
    generation.run(read.append)
    assert sum(read) == generation.num_tokens
    assert generation.num_answered == len(requests)
    return generation.answers


class Passes:
    """Shapes of all forward passes while it is active."""

    def __init__(self, model) -> None:
        self._model, self.shapes = model, []

    def __enter__(self) -> "Passes":
        def record(_module, _args, keywords):
            self.shapes.append(tuple(keywords["input_ids"].shape))

        self._hook = self._model.register_forward_pre_hook(record, with_kwargs=True)
        return self

    def __exit__(self, *_exc) -> None:
        self._hook.remove()


@pytest.fixture(params=[llm_passes.PACKED_TOKENS, 8])
def packed_tokens(request, monkeypatch):
    """So many in a pack; all prompts that begin alike are one with the first."""
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", request.param)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.usefixtures("packed_tokens")
def test_answers_equal_a_plain_loop_over_every_request(name):
    model = make_model(ARCHITECTURES[name])
    requests = make_requests()
    assert run(model, requests) == [plain_answer(model, request) for request in requests]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.usefixtures("packed_tokens")
def test_batch_size_changes_no_answer(dtype):
    model = make_model(ARCHITECTURES["llama"], dtype)
    requests = make_requests()
    expected = run(model, requests, batch_tokens=1)
    for batch_tokens in (40, 300, 10_000):
        assert run(model, requests, batch_tokens) == expected


def test_order_of_requests_changes_no_answer(llama):
    requests = make_requests()
    assert run(llama, requests[::-1]) == run(llama, requests)[::-1]


@pytest.mark.parametrize(
    ("packed_tokens", "shapes"),
    [(256, [(1, 4 + 2 + 20 * 2)]), (8, [(1, 4 + 2), (20, 2)]), (1, [(1, 4), (1, 2), (20, 2)])],
)
def test_a_shared_prefix_is_read_once(llama, monkeypatch, packed_tokens, shapes):
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", packed_tokens)
    requests = [Request(((1, 2, 3, 4), (5, 6), (7, last)), Free(max_new_tokens=1)) for last in range(20)]
    with Passes(llama) as passes:
        run(llama, requests, batch_tokens=10_000)
    assert passes.shapes == shapes


def test_passes_keep_within_the_token_limit(llama, monkeypatch):
    monkeypatch.setattr(llm_passes, "PACKED_TOKENS", 8)
    requests = [Request(((1, 2, 3, 4), (5, last)), Free(max_new_tokens=4)) for last in range(20)]
    with Passes(llama) as passes:
        run(llama, requests, batch_tokens=45)
    # 4 shared + 2 own + 4 new tokens: four sequences fit into 45.
    assert max(batch for batch, _ in passes.shapes) == 4


def test_an_answer_without_a_choice_costs_no_pass(llama):
    requests = [Request(((1, 2),), OneOf([(8, 9)], END))]
    with Passes(llama) as passes:
        assert run(llama, requests) == [[8, 9]]
    assert passes.shapes == []


def test_a_forced_beginning_is_read_with_the_prompt(llama):
    requests = [Request(((1, 2),), OneOf([(8, 9, 20), (8, 9, 21)], END))]
    with Passes(llama) as passes:
        (answer,) = run(llama, requests)
    assert passes.shapes == [(1, 4)]
    assert answer == plain_answer(llama, requests[0])


def test_ids_beyond_the_vocabulary_are_never_chosen(llama):
    requests = [Request(((token_id,),), Free(max_new_tokens=6)) for token_id in range(1, 10)]
    answers = run(llama, requests, vocab_size=10)
    assert max(map(max, answers)) < 10
    assert answers == [plain_answer(llama, request, vocab_size=10) for request in requests]


def test_of_equal_logits_the_lowest_id_is_chosen():
    model = make_model(ARCHITECTURES["llama"])
    torch.nn.init.zeros_(model.get_output_embeddings().weight)
    requests = [Request(((1, 2),), Free(max_new_tokens=1)), Request(((1, 2),), OneOf([(7,), (5,)], END))]
    assert run(model, requests) == [[0], [5]]


@pytest.mark.parametrize("segments", [(), ((),), ((1,), ())])
def test_an_empty_prompt_or_segment_is_refused(llama, segments):
    with pytest.raises(ValueError, match="one or more segments, each of one or more ids"):
        Generation(llama, [Request(segments, Free(1))], VOCAB, 100)


def test_prompts_are_cut_where_they_part():
    prompts = [[1, 2, 3, 9], [1, 2, 3, 4, 5, 9], [1, 2, 8]]
    assert shared_segments(prompts) == [((1, 2), (3,), (9,)), ((1, 2), (3,), (4, 5, 9)), ((1, 2), (8,))]


def test_a_prompt_that_begins_another_is_one_of_its_segments():
    assert shared_segments([[1, 2], [1, 2, 3], [1, 2]]) == [((1, 2),), ((1, 2), (3,)), ((1, 2),)]
    assert shared_segments([[4, 5]]) == [((4, 5),)]
