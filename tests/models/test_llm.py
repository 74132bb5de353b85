"""Loading, text handling and generation of the embedded LLM and of small ones in other formats."""

import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from v2l.config.llm import LlmConfig
from v2l.errors import ModelError
from v2l.models.llm import Llm, load_llm
from v2l.models.llm_decoding import Free, OneOf
from v2l.models.llm_generation import Generation, Request
from v2l.models.llm_output import OutputLayer
from v2l.runtime import Runtime

from .test_llm_generation import plain_answer


@pytest.fixture(scope="module")
def llm(assets: Path) -> Llm:
    return load(assets / "llm", torch.float32)


def load(source: Path | str, dtype: torch.dtype, **config) -> Llm:
    runtime = Runtime(torch.device("cpu"), dtype, image_batch=1, llm_batch_tokens=256)
    return load_llm(LlmConfig(source=str(source), **config), runtime)


def write_gguf(path: Path) -> None:
    """A random two-layer Llama with a handful of byte-level tokens."""
    tokens = [*map(chr, range(ord("a"), ord("z") + 1)), "Ġ", "Ċ", "Ġc", "Ġa", "Ġca", "Ġcat", "<s>"]
    hidden, inner, heads, kv_heads, layers = 32, 48, 4, 2, 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.add_token_merges(["Ġ c", "Ġ a", "Ġc a", "Ġca t"])
    writer.add_bos_token_id(tokens.index("<s>"))
    writer.add_eos_token_id(tokens.index("<s>"))
    shapes = {"token_embd": (len(tokens), hidden), "output": (len(tokens), hidden), "output_norm": (hidden,)}
    for layer in range(layers):
        kv_width = hidden * kv_heads // heads
        for name, shape in {
            "attn_norm": (hidden,),
            "ffn_norm": (hidden,),
            "attn_q": (hidden, hidden),
            "attn_k": (kv_width, hidden),
            "attn_v": (kv_width, hidden),
            "attn_output": (hidden, hidden),
            "ffn_gate": (inner, hidden),
            "ffn_up": (inner, hidden),
            "ffn_down": (hidden, inner),
        }.items():
            shapes[f"blk.{layer}.{name}"] = shape
    generator = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", generator.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_single_tokens_keep_their_leading_blank(llm: Llm):
    (cat,) = llm.tokenize([" cat"])[0]
    (ing,) = llm.tokenize(["ing"])[0]
    assert (llm.token_texts[cat], llm.token_texts[ing]) == (" cat", "ing")
    assert len(llm.token_texts) == llm.vocab_size == 49_152


def test_token_texts_are_the_bytes_of_a_byte_level_vocabulary(llm: Llm, assets: Path):
    """Oracle: the inverse of the byte-to-character table of byte-level BPE, applied to the vocabulary file."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    vocabulary = json.loads((assets / "llm" / "tokenizer.json").read_text())["model"]["vocab"]
    for piece, token_id in vocabulary.items():
        expected = bytes(byte_of[character] for character in piece).decode(errors="replace")
        assert llm.token_texts[token_id] == expected


def test_characters_spread_over_tokens_are_decoded_together(llm: Llm):
    (ids,) = llm.tokenize(["🦒"])
    assert len(ids) > 1
    assert llm.decode([ids, [], ids[:1]]) == ["🦒", "", "\ufffd"]


def test_text_is_cut_as_it_stands_in_its_context(llm: Llm):
    (cat,) = llm.tokenize([" cat"])
    assert llm.tokenize_after("Output:", " cat") == cat
    with pytest.raises(ModelError, match="merges 'ing' into the text before it"):
        llm.tokenize_after("read", "ing")


def test_start_ids_are_what_the_tokenizer_puts_before_a_text(llm: Llm, llama_folder: Path):
    assert llm.start_ids == []
    assert load(llama_folder, torch.float32).start_ids == [1]


def test_greedy_output_equals_generate_of_transformers(llm: Llm, assets: Path):
    prompts = ["The capital of France is", "a photo of a", "Once upon a time there was a little"]
    requests = [Request((tuple(ids[:2]), tuple(ids[2:])), Free(4)) for ids in llm.tokenize(prompts)]
    plain = AutoModelForCausalLM.from_pretrained(assets / "llm", dtype=torch.float32)
    plain.generation_config.eos_token_id = None
    expected = []
    for ids in llm.tokenize(prompts):
        whole = plain.generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False, pad_token_id=0)
        expected.append(whole[0, len(ids) :].tolist())
    assert llm.generate(requests, "test") == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_token_budget_changes_no_answer_of_the_real_model(assets: Path, dtype: torch.dtype):
    texts = [" cat", " dog", " the quick brown"]
    names = [" a cat", " a cat and a dog", " the end"]
    answers = []
    for budget in (1, 4096):
        runtime = Runtime(torch.device("cpu"), dtype, image_batch=1, llm_batch_tokens=budget)
        llm = load_llm(LlmConfig(source=str(assets / "llm")), runtime)
        prefix, *ends = (tuple(ids) for ids in llm.tokenize(["a photo of", *texts]))
        rule = OneOf(llm.tokenize(names), end_id=llm.tokenize(["\n"])[0][0])
        answers.append(llm.generate([Request((prefix, end), kind) for end in ends for kind in (Free(2), rule)], "test"))
    assert answers[0] == answers[1]


def test_bfloat16_logits_are_the_same_bits_in_any_batch(assets: Path, monkeypatch: pytest.MonkeyPatch):
    """Of the real model, whose matrices are large enough for kernels that differ by the number of rows."""
    model = AutoModelForCausalLM.from_pretrained(assets / "llm", dtype=torch.bfloat16)
    requests = [Request(((5, 6, 7), (token_id,)), Free(max_new_tokens=2)) for token_id in range(300, 304)]
    requests += [Request(((token_id, 8, 9, 10, 11),), Free(max_new_tokens=1)) for token_id in range(300, 304)]

    def all_logits(batch_tokens: int) -> set[tuple[float, ...]]:
        rows, compute = [], OutputLayer._logits

        def record(*args) -> torch.Tensor:
            rows.extend((logits := compute(*args)).tolist())
            return logits

        with monkeypatch.context() as patch:
            patch.setattr(OutputLayer, "_logits", record)
            Generation(model, requests, 49_152, batch_tokens).run(lambda _count: None)
        return set(map(tuple, rows))

    assert all_logits(1) == all_logits(10_000)


def test_gguf_file_gives_the_model_that_is_in_it(tmp_path: Path):
    write_gguf(tmp_path / "tiny.gguf")
    llm = load(tmp_path / "tiny.gguf", torch.bfloat16)
    assert llm.vocab_size == 33
    assert llm.max_context == 64
    assert llm.token_texts[31] == " cat"


def test_answers_of_a_gguf_file_are_those_of_a_plain_loop(tmp_path: Path):
    write_gguf(tmp_path / "tiny.gguf")
    llm = load(tmp_path / "tiny.gguf", torch.float32)
    ids = [tuple(each) for each in llm.tokenize(["a cat", "a cat a", "a"])]
    requests = [Request((ids[0], end), Free(4)) for end in ids] + [Request((end,), OneOf(ids, 3)) for end in ids]
    assert llm.generate(requests, "test") == [plain_answer(llm.model, each, llm.vocab_size) for each in requests]


def test_a_prompt_beyond_the_context_is_refused_before_any_work(assets: Path):
    llm = load(assets / "llm", torch.bfloat16, max_context=10)
    fits, too_long = (Request((tuple(range(100, 100 + length)),), Free(3), "episode 7") for length in (7, 8))
    assert len(llm.generate([fits], "test")[0]) == 3
    with pytest.raises(ModelError, match="episode 7: 8 tokens and an answer of up to 3 exceed the LLM's context of 10"):
        llm.generate([fits, too_long], "test")


def test_folder_without_configuration_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"no config\.json"):
        load(tmp_path, torch.float32)


def test_folder_without_tokenizer_is_refused(assets: Path, tmp_path: Path):
    shutil.copy(assets / "llm" / "config.json", tmp_path)
    with pytest.raises(ModelError, match="no tokenizer that transformers can load") as refusal:
        load(tmp_path, torch.float32)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.fixture
def model_folder(assets: Path, tmp_path: Path) -> Path:
    """The embedded LLM's folder without its weights."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(assets / "llm" / name, tmp_path)
    return tmp_path


def test_folder_without_weights_is_refused(model_folder: Path):
    with pytest.raises(ModelError, match="no causal LM that transformers can load") as refusal:
        load(model_folder, torch.float32)
    assert "\n" not in str(refusal.value)


def test_truncated_weights_are_refused(model_folder: Path, assets: Path):
    whole = (assets / "llm" / "model.safetensors").read_bytes()
    (model_folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="no causal LM that transformers can load"):
        load(model_folder, torch.float32)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path, llama_folder: Path):
    model = AutoModelForCausalLM.from_pretrained(llama_folder)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if "layers.1.mlp.down_proj" not in name}
    shutil.copy(llama_folder / "tokenizer.model", tmp_path)
    model.save_pretrained(tmp_path, state_dict=tensors)
    with pytest.raises(ModelError, match=r"1 weight\(s\) missing or misshapen, the first is .*down_proj"):
        load(tmp_path, torch.float32)


@pytest.mark.parametrize("source", ["no-such/model", "not a hub name", "/no/such/folder"])
def test_unknown_source_is_refused(source: str):
    with pytest.raises(ModelError, match=r"is no folder or \.gguf file here, and no model of that name"):
        load(source, torch.float32)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"expected a folder, a \.gguf file or a hub name"):
        load(tmp_path / "model.bin", torch.float32)


def test_a_damaged_gguf_file_is_refused(tmp_path: Path):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF, but not for long")
    with pytest.raises(ModelError, match=r"broken\.gguf: no tokenizer"):
        load(tmp_path / "broken.gguf", torch.float32)
