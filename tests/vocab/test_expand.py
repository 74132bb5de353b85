"""Vocabulary expansion with the embedded LLM in float32, against a plain generate loop of transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from v2l.artifacts import read_rows
from v2l.config.llm import LlmConfig
from v2l.config.vocab import ExpandConfig
from v2l.errors import ModelError
from v2l.models.llm import Llm, load_llm
from v2l.runtime import Runtime
from v2l.vocab.expand import candidate_rows, expand, expand_tokens

PROMPT = "a photo of "


def make_runtime(dtype: torch.dtype) -> Runtime:
    return Runtime(torch.device("cpu"), dtype, image_batch=1, llm_batch_tokens=256)


@pytest.fixture(scope="module")
def llm(assets: Path) -> Llm:
    return load_llm(LlmConfig(source=str(assets / "llm")), make_runtime(torch.float32))


def test_successors_equal_a_plain_generate_loop(llm: Llm, assets: Path):
    """For tokens with a leading blank the plain loop reads the text as a whole, as a user would write it."""
    token_ids = sorted(int(i) for i in np.random.default_rng(0).choice(llm.vocab_size, 12, replace=False))
    tokenizer = AutoTokenizer.from_pretrained(assets / "llm")
    model = AutoModelForCausalLM.from_pretrained(assets / "llm", dtype=torch.float32)
    model.generation_config.eos_token_id = None
    expected, with_blank = [], 0
    for token_id in token_ids:
        text = tokenizer.decode([token_id])
        if text.startswith(" "):
            ids, with_blank = tokenizer("a photo of" + text)["input_ids"], with_blank + 1
            assert ids[-1] == token_id
        else:
            ids = [*tokenizer(PROMPT)["input_ids"], token_id]
        whole = model.generate(torch.tensor([ids]), max_new_tokens=2, do_sample=False, pad_token_id=0)
        expected.append([token_id, *whole[0, len(ids) :].tolist()])
    assert 0 < with_blank < len(token_ids)
    assert expand_tokens(llm, PROMPT, token_ids).tolist() == expected


def test_a_prompt_without_a_blank_is_read_as_it_is(llm: Llm, assets: Path):
    model = AutoModelForCausalLM.from_pretrained(assets / "llm", dtype=torch.float32)
    model.generation_config.eos_token_id = None
    (prefix,) = llm.tokenize(["see:"])
    whole = model.generate(torch.tensor([[*prefix, 40]]), max_new_tokens=2, do_sample=False, pad_token_id=0)
    assert expand_tokens(llm, "see:", [40]).tolist() == whole[:, len(prefix) :].tolist()


def test_tokens_can_be_expanded_without_a_prompt(llm: Llm):
    assert expand_tokens(llm, "", range(3)).shape == (3, 3)


def test_candidates_are_listed_by_order_then_token(llm: Llm):
    (cat, and_), (dog, _) = llm.tokenize([" cat and", " dog and"])
    table = candidate_rows(llm, np.array([[cat, and_, dog], [dog, and_, cat]]))
    assert table["ngram_id"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["order"].tolist() == [1, 1, 2, 2, 3, 3]
    assert table["text"].tolist() == [" cat", " dog", " cat and", " dog and", " cat and dog", " dog and cat"]
    assert table["token_ids"].tolist()[4] == [cat, and_, dog]


def test_stage_writes_three_candidates_a_token(assets: Path, tmp_path: Path):
    path = tmp_path / "candidates.parquet"
    expand(path, ExpandConfig(num_tokens=40), LlmConfig(source=str(assets / "llm")), make_runtime(torch.bfloat16))
    table = read_rows(path, ["ngram_id", "order", "token_ids", "text"])
    assert len(table) == 3 * 40
    assert [ids[0] for ids in table["token_ids"]] == 3 * list(range(40))
    assert (table["token_ids"].map(len) == table["order"]).all()


def test_more_tokens_than_the_llm_has_are_refused(assets: Path, tmp_path: Path):
    llm = LlmConfig(source=str(assets / "llm"))
    with pytest.raises(ModelError, match=r"vocab\.expand\.num_tokens: 50000 asked for, .*llm has 49152 tokens"):
        expand(tmp_path / "out.parquet", ExpandConfig(num_tokens=50_000), llm, make_runtime(torch.bfloat16))
    assert not list(tmp_path.iterdir())
