"""A model over several devices, and hub models that this account may not have."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import huggingface_hub
import pytest
import torch
from accelerate import dispatch_model
from huggingface_hub.utils import close_session, set_client_factory
from huggingface_hub.utils._http import default_client_factory
from pydantic import ValidationError
from transformers import DynamicCache, LlamaConfig
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from v2l.config.llm import LlmConfig
from v2l.config.runtime import RuntimeConfig
from v2l.errors import ModelError
from v2l.models import llm_loading
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Generation, Request
from v2l.models.llm_loading import gpu_memory, locate, spread_layers
from v2l.runtime import Runtime

from .test_llm_generation import plain_answer

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
PARTS = ("model.embed_tokens", "model.layers.0", "model.layers.1", "model.norm", "model.rotary_emb", "lm_head")


def make_requests() -> list[Request]:
    requests = [Request(((1, 5, 6), (last,)), Free(3)) for last in range(300, 304)]
    return [*requests, Request(((1, 5, 6), (7, 8)), OneOf([(9, 10), (9, 11, 12), (13,)], end_id=3))]


def on(device: torch.device, **placement) -> Runtime:
    return Runtime(device, torch.float32, image_batch=1, llm_batch_tokens=64, **placement)


def load(source: Path | str, **placement) -> Llm:
    return load_llm(LlmConfig(source=str(source)), on(CPU, **placement))


LLAMA_2 = {  # hidden size, its blocks' inner size, blocks, heads, key and value heads; bytes of the weights in bf16
    "7B": ((4096, 11008, 32, 32, 32), 13_476_831_232),
    "13B": ((5120, 13824, 40, 40, 40), 26_031_728_640),
    "70B": ((8192, 28672, 80, 64, 8), 137_953_296_384),
}


def write_config(size: str, folder: Path) -> dict[str, Path]:
    hidden, inner, blocks, heads, kv_heads = LLAMA_2[size][0]
    LlamaConfig(
        vocab_size=32_000, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=blocks,
        num_attention_heads=heads, num_key_value_heads=kv_heads,
    ).save_pretrained(folder)  # fmt: skip
    return {"pretrained_model_name_or_path": folder}


def visible_gpus(monkeypatch: pytest.MonkeyPatch, *free_bytes: int) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free_bytes))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda gpu: (free_bytes[gpu], 2 * free_bytes[gpu]))


@pytest.mark.parametrize(
    ("size", "gigabytes"), [("7B", [12, 12]), ("13B", [22, 22]), ("70B", [72, 72]), ("70B", [43] * 4)]
)
def test_blocks_lie_whole_and_in_order_on_the_gpus(tmp_path: Path, size: str, gigabytes: list[int]):
    memory = {gpu: number * 10**9 for gpu, number in enumerate(gigabytes)}
    device_map = spread_layers(write_config(size, tmp_path), torch.bfloat16, memory)
    blocks = [device_map[f"model.layers.{i}"] for i in range(LLAMA_2[size][0][2])]
    assert blocks == sorted(blocks)
    assert set(blocks) == set(memory)
    assert device_map["model.embed_tokens"] == 0
    assert device_map["lm_head"] == len(memory) - 1
    shares = [blocks.count(gpu) for gpu in memory]
    assert max(shares) - min(shares) <= 3


@pytest.mark.parametrize("size", LLAMA_2)
def test_a_model_that_exceeds_the_gpus_is_refused_before_it_is_loaded(tmp_path: Path, size: str):
    needed = LLAMA_2[size][1]
    memory = dict.fromkeys(range(2), needed // 2 - 10**9)
    with pytest.raises(ModelError) as refusal:
        spread_layers(write_config(size, tmp_path), torch.bfloat16, memory)
    assert str(refusal.value) == (
        f"expected GPU memory for {needed / 1e9:.1f} GB of weights in whole layers and room for one more, "
        f"found {sum(memory.values()) / 1e9:.1f} GB on 2 GPUs"
    )


def test_memory_for_weights_is_what_is_listed_or_nine_tenths_of_what_is_free(monkeypatch: pytest.MonkeyPatch):
    visible_gpus(monkeypatch, 80 * 10**9, 40 * 10**9)
    assert gpu_memory(on(CUDA, device_map="auto")) == {0: 72 * 10**9, 1: 36 * 10**9}
    listed = on(CUDA, device_map="auto", gpu_memory_gb=[70, 20.5])
    assert gpu_memory(listed) == {0: 70 * 10**9, 1: 20_500_000_000}
    match = r"runtime\.gpu_memory_gb: expected one value for each of 2 visible GPUs, found 3"
    with pytest.raises(ModelError, match=match):
        gpu_memory(on(CUDA, device_map="auto", gpu_memory_gb=[1, 2, 3]))


def test_one_device_takes_the_whole_model(monkeypatch: pytest.MonkeyPatch):
    assert gpu_memory(on(CPU, device_map="auto")) == {}
    visible_gpus(monkeypatch, 80 * 10**9)
    assert gpu_memory(on(CUDA, device_map="auto")) == {}
    visible_gpus(monkeypatch, 80 * 10**9, 80 * 10**9)
    assert gpu_memory(on(CUDA)) == {}
    assert gpu_memory(on(torch.device("cuda:1"), device_map="auto")) == {}


def test_memory_without_a_device_map_is_refused():
    with pytest.raises(ValidationError, match="gpu_memory_gb: expected device_map: auto beside it, found null"):
        RuntimeConfig(gpu_memory_gb=[10])


def test_a_model_loaded_with_a_device_map_gives_the_same_answers(llama_folder: Path, monkeypatch: pytest.MonkeyPatch):
    """All parts on the CPU, but with accelerate's hooks around each, as parts on several GPUs have them."""
    expected, device_map = load(llama_folder), dict.fromkeys(PARTS, "cpu")
    asked = []

    def all_on_the_cpu(location, dtype, memory):
        asked.append((location["pretrained_model_name_or_path"], dtype, memory))
        return device_map

    monkeypatch.setattr(llm_loading, "gpu_memory", lambda _runtime: {0: 10, 1: 20})
    monkeypatch.setattr(llm_loading, "spread_layers", all_on_the_cpu)
    spread = load(llama_folder, device_map="auto")
    assert asked == [(llama_folder, torch.float32, {0: 10, 1: 20})]
    dispatch_model(
        spread.model, device_map, main_device="cpu", force_hooks=True,
        skip_keys=spread.model._skip_keys_device_placement,
    )  # fmt: skip
    assert all(hasattr(spread.model.get_submodule(part), "_hf_hook") for part in PARTS)
    requests = make_requests()
    answers = spread.generate(requests, "test")
    assert answers == expected.generate(requests, "test")
    assert answers == [plain_answer(expected.model, request, 32_000) for request in requests]
    assert not any(weight.requires_grad for weight in spread.model.parameters())


def test_too_little_gpu_memory_is_one_line_with_the_models_name(llama_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llm_loading, "gpu_memory", lambda _runtime: {0: 10**6, 1: 10**6})
    with pytest.raises(ModelError, match=r"llama.*: expected GPU memory for 0\.0 GB") as refusal:
        load(llama_folder, device_map="auto")
    assert "\n" not in str(refusal.value)


class TwoDevices(torch.nn.Module):
    """Says after every id the next one; the cache of its second layer lies on another device than all else."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 2)
        self.head = torch.nn.Identity()

    def get_input_embeddings(self) -> torch.nn.Module:
        return self.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.head

    def set_output_embeddings(self, head: torch.nn.Module) -> None:
        self.head = head

    def forward(self, input_ids, past_key_values, **_) -> CausalLMOutputWithPast:
        cache = DynamicCache() if past_key_values is None else past_key_values
        states = self.embedding(input_ids)[:, None]
        cache.update(states, states, 0)
        cache.update(states.to("meta"), states.to("meta"), 1)
        logits = torch.nn.functional.one_hot((input_ids + 1) % 50, 50).float()
        return CausalLMOutputWithPast(logits=self.head(logits), past_key_values=cache)


def test_rows_of_each_layers_cache_are_chosen_on_its_own_device(monkeypatch: pytest.MonkeyPatch):
    choose, devices = DynamicLayer.batch_select_indices, set()

    def record(self, indices):
        devices.add((indices.device.type, self.keys.device.type))
        choose(self, indices)

    monkeypatch.setattr(DynamicLayer, "batch_select_indices", record)
    requests = [Request(((1, 2, 3), (last,)), Free(3)) for last in (10, 20, 30)]
    generation = Generation(TwoDevices(), requests, vocab_size=50, batch_tokens=20)
    generation.run(lambda _count: None)
    assert generation.answers == [[11, 12, 13], [21, 22, 23], [31, 32, 33]]
    assert devices == {("cpu", "cpu"), ("meta", "meta")}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, tuple[int, dict[str, str]]]]:
    """A stand-in for the hub: paths that end so are answered with this status and these headers, others with 200."""
    answers: dict[str, tuple[int, dict[str, str]]] = {}

    def answer(request: httpx2.Request) -> httpx2.Response:
        for end, (status, headers) in answers.items():
            if request.url.path.endswith(end):
                return httpx2.Response(status, headers=headers, request=request)
        return httpx2.Response(200, json={"id": "some/model"}, request=request)

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    close_session()
    set_client_factory(lambda: httpx2.Client(transport=httpx2.MockTransport(answer)))
    yield answers
    set_client_factory(default_client_factory)
    close_session()


@pytest.mark.parametrize("status", [401, 403])
def test_a_gated_model_is_refused_with_what_to_do(hub, status: int):
    hub["/auth-check"] = status, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(ModelError) as refusal:
        load("meta-llama/Llama-2-7b-hf")
    assert str(refusal.value) == (
        "llm.source: 'meta-llama/Llama-2-7b-hf' is gated: this account has no access; ask for it at "
        "https://huggingface.co/meta-llama/Llama-2-7b-hf, then run `hf auth login`"
    )


def test_a_private_or_unknown_model_is_refused_with_what_to_do(hub):
    hub["/some/model"] = 401, {"X-Error-Code": "RepoNotFound"}
    with pytest.raises(ModelError, match=r"the hub has none, or it is private: run `hf auth login`\)$"):
        locate("some/model")


def test_a_model_that_the_hub_gives_is_taken_by_its_name(hub):
    assert locate("some/model") == {"pretrained_model_name_or_path": "some/model"}
    assert hub == {}


def test_a_gate_that_shuts_after_the_first_file_is_named_too(hub, monkeypatch: pytest.MonkeyPatch):
    """The configuration is in the cache, the rest is not."""
    monkeypatch.setattr(llm_loading, "try_to_load_from_cache", lambda *_: "config.json")
    hub["/tokenizer.model"] = 403, {"X-Error-Code": "GatedRepo"}
    with pytest.raises(ModelError, match=r"^some/model: no tokenizer .*\('some/model' is gated: .*`hf auth login`\)$"):
        load("some/model")


def test_metas_own_layout_is_refused_with_what_to_do(tmp_path: Path):
    (tmp_path / "params.json").write_text("{}")
    with pytest.raises(ModelError, match=r"no config\.json; .* \(params\.json is Meta's own layout; convert it\)"):
        load(tmp_path)
