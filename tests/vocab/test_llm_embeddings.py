from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from v2l.artifacts import read_arrays, write_rows
from v2l.config.llm import LlmConfig
from v2l.errors import ArtifactError
from v2l.runtime import Runtime
from v2l.vocab.llm_embeddings import llm_embeddings

NUM_WORDS, NUM_ROWS, WIDTH = 30, 32, 16  # the model has two rows that the tokenizer does not


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Llama with random weights whose input and output embeddings differ."""
    folder = tmp_path_factory.mktemp("llm")
    words = Tokenizer(WordLevel({f"w{index}": index for index in range(NUM_WORDS)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=NUM_ROWS, max_position_embeddings=64, tie_word_embeddings=False, **sizes)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def written(folder: Path, llama: Path, runtime: Runtime, orders: list[int]) -> np.ndarray:
    write_rows(folder / "candidates.parquet", pd.DataFrame({"order": orders}))
    llm_embeddings(
        folder / "candidates.parquet", folder / "embeddings.safetensors", LlmConfig(source=str(llama)), runtime
    )
    return read_arrays(folder / "embeddings.safetensors", ["embeddings"])["embeddings"]


def stored(llama: Path) -> np.ndarray:
    return read_arrays(llama / "model.safetensors", ["model.embed_tokens.weight"])["model.embed_tokens.weight"]


def test_rows_are_the_input_embeddings_of_as_many_tokens_as_there_are_candidates_of_one(
    llama: Path, tmp_path: Path, runtime: Runtime
) -> None:
    embeddings = written(tmp_path, llama, runtime, [1] * 20 + [2] * 40 + [3] * 7)
    assert embeddings.shape == (20, WIDTH)
    assert embeddings.dtype == np.float32
    assert np.array_equal(embeddings, stored(llama)[:20])


def test_all_tokens_of_the_tokenizer_may_be_candidates(llama: Path, tmp_path: Path, runtime: Runtime) -> None:
    assert np.array_equal(written(tmp_path, llama, runtime, [1] * NUM_WORDS), stored(llama)[:NUM_WORDS])


def test_a_model_in_bfloat16_gives_float32_rows_of_its_rounded_values(
    llama: Path, tmp_path: Path, runtime: Runtime
) -> None:
    embeddings = written(tmp_path, llama, replace(runtime, dtype=torch.bfloat16), [1] * 20)
    assert embeddings.dtype == np.float32
    rounded = torch.from_numpy(stored(llama)[:20]).to(torch.bfloat16).float().numpy()
    assert np.array_equal(embeddings, rounded)


def test_candidates_without_orders_are_refused(llama: Path, tmp_path: Path, runtime: Runtime) -> None:
    write_rows(tmp_path / "other.parquet", pd.DataFrame({"text": ["a"]}))
    with pytest.raises(ArtifactError, match=r"other\.parquet: expected column\(s\) order, found text"):
        llm_embeddings(tmp_path / "other.parquet", tmp_path / "e.safetensors", LlmConfig(source=str(llama)), runtime)
