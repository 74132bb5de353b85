"""LLaMA's SentencePiece tokenizer, in all layouts of its folder, against the sentencepiece library."""

import json
import random
import shutil
from pathlib import Path

import pytest
import sentencepiece
from transformers import LlamaTokenizer

from v2l.errors import ModelError
from v2l.models.llm import Llm
from v2l.models.llm_tokenizers import SentencePieceTokenizer, Tokenizer, load_tokenizer

HARD_TEXTS = [
    "", " ", "   ", " cat", "  two", "trailing ", "a  b", "\n", " \n", "\t tab\t", "line\nline\n\n###\n", "a\r\nb",
    "日本語 🦒 émigré", "e\u0301", "ﬁ ① Å", "\u00a0nbsp", "\u200bzero", "\x00x", "▁under ▁", "<0x41>",
    "<s> hi</s><unk>", "1234567 3.14", "for (int i=0;i<n;++i) {\n    return;\n}", "Input: < cat, dog >\nOutput: a",
]  # fmt: skip


@pytest.fixture(scope="module")
def library(sentencepiece_file: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(sentencepiece_file))


@pytest.fixture(scope="module")
def tokenizer(llama_folder: Path) -> Tokenizer:
    return load_tokenizer({"pretrained_model_name_or_path": llama_folder})


@pytest.fixture(params=["tokenizer.model alone", "with tokenizer_config.json", "with tokenizer.json"])
def any_layout(request: pytest.FixtureRequest, llama_folder: Path, tmp_path: Path) -> Tokenizer:
    """The layouts of LLaMA 2 folders: Meta's tokenizer, the hub's without and with what transformers made of it."""
    for name in ("config.json", "tokenizer.model"):
        shutil.copy(llama_folder / name, tmp_path)
    if request.param != "tokenizer.model alone":
        content = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    if request.param == "with tokenizer.json":
        LlamaTokenizer.from_pretrained(tmp_path).backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    return load_tokenizer({"pretrained_model_name_or_path": tmp_path})


def random_texts(count: int) -> list[str]:
    generator = random.Random(0)
    return ["".join(generator.choices("abc XYZ  \n\t,.<>#🦒éø日_0", k=generator.randint(1, 30))) for _ in range(count)]


def test_ids_are_the_librarys_in_every_layout(any_layout: Tokenizer, library):
    texts = [*HARD_TEXTS, *random_texts(1_000), Path(__file__).read_text(encoding="utf-8")]
    assert any_layout.encode(texts) == [library.encode(text) for text in texts]
    assert any_layout.start_ids == [library.bos_id()] == [1]
    assert len(any_layout) == 32_000
    assert any_layout.encode([]) == []


def test_a_configuration_may_leave_out_the_start(llama_folder: Path, tmp_path: Path):
    for name in ("config.json", "tokenizer.model"):
        shutil.copy(llama_folder / name, tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"add_bos_token": false}')
    assert load_tokenizer({"pretrained_model_name_or_path": tmp_path}).start_ids == []


def test_text_of_every_token_is_its_piece(tokenizer: Tokenizer, library):
    """Oracle: the piece, with its blank for the sign that stands for one; a byte where the piece is one."""
    for token_id, text in enumerate(tokenizer.decode([[token_id] for token_id in range(32_000)])):
        piece = library.id_to_piece(token_id)
        if library.is_byte(token_id):
            assert text == bytes([int(piece[3:5], 16)]).decode(errors="replace")
        else:
            assert text == piece.replace("▁", " ")


def test_decoding_gives_back_the_text_with_the_dummy_blank(tokenizer: Tokenizer):
    texts = [text for text in (*HARD_TEXTS, *random_texts(1_000)) if "▁" not in text]
    assert tokenizer.decode(tokenizer.encode(texts)) == [" " + text if text else "" for text in texts]


def test_bytes_are_decoded_together_and_special_tokens_are_spelt_out(tokenizer: Tokenizer, library):
    giraffe = library.encode("🦒")[1:]
    cat = library.piece_to_id("▁cat")
    assert len(giraffe) == 4
    sequences = [giraffe, [], giraffe[:1], [2, cat], [cat, 2, 2, cat, 1], [0, *giraffe]]
    assert tokenizer.decode(sequences) == [
        "🦒", "", "\ufffd", "</s> cat", " cat</s></s> cat<s>", "<unk>🦒"
    ]  # fmt: skip


def test_names_are_cut_after_the_cue_as_they_are_in_the_whole_prompt(tokenizer: Tokenizer):
    llm = Llm.__new__(Llm)  # without weights
    llm._tokenizer = tokenizer
    prompt = "###\nInput: < cat, dog, 🦒 >\nOutput:"
    for name in ("cat", "sea lion", "giraffe", "émigré", "🦒", "日本", "T-shirt", "  two blanks", "3"):
        (before,), (both,) = llm.tokenize([prompt]), llm.tokenize([f"{prompt} {name}"])
        assert before + llm.tokenize_after("Output:", f" {name}") == both
    with pytest.raises(ModelError, match="merges 'ing' into the text before it, 'read'"):
        llm.tokenize_after("read", "ing")


def test_a_file_of_that_name_in_another_format_leaves_the_other_tokenizer(assets: Path, tmp_path: Path):
    """Llama 3's folder has tiktoken's ranks under the name ``tokenizer.model``."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(assets / "llm" / name, tmp_path)
    (tmp_path / "tokenizer.model").write_text("IQ== 0\nIg== 1\nIw== 2\n")
    found = load_tokenizer({"pretrained_model_name_or_path": tmp_path})
    expected = load_tokenizer({"pretrained_model_name_or_path": assets / "llm"})
    assert not isinstance(found, SentencePieceTokenizer)
    assert found.encode(HARD_TEXTS) == expected.encode(HARD_TEXTS)
