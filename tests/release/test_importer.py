"""The released files become artifacts that every later stage reads; files that do not fit are refused in one line."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from v2l.artifacts import read_arrays, read_rows
from v2l.config.tokenizer import VqGanConfig
from v2l.config.vocab import CodebookConfig
from v2l.errors import ArtifactError, V2LError
from v2l.experiments.semantics import similarity_range
from v2l.release.importer import import_release
from v2l.release.parity import check_parity
from v2l.tokenizer.inputs import read_local_embeddings
from v2l.tokenizer.kinds import load_tokenizer
from v2l.vocab.filter import load_candidates
from v2l.words.local_words import local_words

from .conftest import run_reference
from .replica import CONFIG, KEPT, SMALL, TOKENS, edit_tensors, embed_all

OUTPUTS = {
    "candidates": "candidates.parquet",
    "embeddings": "embeddings.safetensors",
    "rows": "codebook.parquet",
    "vectors": "codebook.safetensors",
    "tokenizer": "v2l.safetensors",
}
Files = dict[str, Path]


def run(folder: Path, files: Files, **changes) -> Files:
    outputs = {name: folder / file for name, file in OUTPUTS.items()}
    options = {"config": CONFIG, "codebook_config": CodebookConfig(), "codebook": "orders_1_3", "name": "v2l"}
    import_release(**files, **outputs, **options | changes)
    return outputs


@pytest.fixture(params=[True, False], ids=["with all candidates", "without"])
def imported(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    return run(tmp_path, SMALL.write(tmp_path / "release", with_candidates=request.param))


@pytest.fixture
def imported_whole(tmp_path: Path) -> Files:
    return run(tmp_path, SMALL.write(tmp_path / "release"))


@pytest.fixture
def imported_part(tmp_path: Path) -> Files:
    return run(tmp_path, SMALL.write(tmp_path / "release", with_candidates=False))


def test_candidates_are_all_that_the_release_has(imported_whole: Files) -> None:
    table = read_rows(imported_whole["candidates"], ["ngram_id", "order", "token_ids", "text"])
    assert table["ngram_id"].tolist() == list(range(120))
    assert table["order"].tolist() == [1] * 40 + [2] * 40 + [3] * 40
    assert table["text"].tolist() == SMALL.texts
    assert [list(ids) for ids in table["token_ids"][:40]] == [[number] for number in range(40)]
    assert table["token_ids"][40:].isna().all()
    arrays = read_arrays(imported_whole["embeddings"], ["embeddings", "text_id", "eligible"])
    assert np.array_equal(arrays["embeddings"][arrays["text_id"]], embed_all(SMALL.texts).float().numpy())
    assert len(arrays["embeddings"]) == len(set(SMALL.texts)) < 120
    assert arrays["eligible"].tolist() == list(range(120))


def test_global_codebook_has_the_candidates_that_were_kept(imported_whole: Files) -> None:
    rows = read_rows(imported_whole["rows"], ["ngram_id", "order", "text", "count"])
    kept = SMALL.kept_texts
    assert rows["text"].tolist() == kept
    assert [SMALL.texts[number] for number in rows["ngram_id"]] == kept
    assert rows["order"].tolist() == [1 + number // 40 for number in rows["ngram_id"]]
    # an n-gram whose text others have too counts as the first of them
    assert all(found <= number for found, number in zip(rows["ngram_id"], KEPT, strict=True))
    assert rows["ngram_id"].is_unique
    assert rows["count"].isna().all()


def test_without_all_candidates_those_that_were_not_kept_are_null(imported_part: Files) -> None:
    table = read_rows(imported_part["candidates"], ["ngram_id", "order", "token_ids", "text"])
    assert table["order"].tolist() == [1] * 40 + [2] * 40 + [3] * 40
    assert [text.rstrip("\0") for text in table["text"][:40]] == [token.rstrip("\0") for token in TOKENS]
    rows = read_rows(imported_part["rows"], ["ngram_id", "order", "text"])
    merged = rows.merge(table, on="ngram_id", suffixes=("", "_of_candidate"))
    assert merged["text"].tolist() == merged["text_of_candidate"].tolist() == SMALL.kept_texts
    assert merged["order"].tolist() == merged["order_of_candidate"].tolist()
    arrays = read_arrays(imported_part["embeddings"], ["embeddings", "text_id", "eligible"])
    known = set(range(40)) | set(rows["ngram_id"])
    assert set(arrays["eligible"]) == known
    for number in range(120):
        if number not in known:
            assert pd.isna(table["text"][number])
            assert arrays["text_id"][number] == -1
    kept_vectors = arrays["embeddings"][arrays["text_id"][rows["ngram_id"]]]
    assert np.array_equal(kept_vectors, embed_all(SMALL.kept_texts).float().numpy())


def test_order_of_an_n_gram_is_then_at_most_the_true_one(imported_part: Files) -> None:
    found = read_rows(imported_part["rows"], ["order"])["order"].to_numpy()
    true = 1 + np.array(KEPT) // 40
    assert (found <= true).all()
    assert (found[true < 3] == true[true < 3]).all()
    assert set(found) == {1, 2, 3}


def test_local_codebook_is_read_by_token_id(imported: Files) -> None:
    assert torch.equal(read_local_embeddings(imported["embeddings"]), embed_all(TOKENS).float())


def test_local_ids_are_spelt_by_their_tokens(imported: Files, tmp_path: Path) -> None:
    pd.DataFrame({"image_id": ["a"], "local_ids": [[5, 39, 3]]}).to_parquet(tmp_path / "tokens.parquet")
    local_words(tmp_path / "tokens.parquet", imported["candidates"], tmp_path / "words.parquet")
    assert list(read_rows(tmp_path / "words.parquet", ["words"])["words"][0]) == ["cat", "pu", "fish"]


def test_candidates_are_searched_as_those_of_the_suite(imported: Files) -> None:
    table = read_rows(imported["candidates"], ["ngram_id", "order", "text"])
    features = torch.nn.functional.normalize(embed_all(["cat", "fish"]).float(), dim=1)
    for orders in ((1, 2, 3), (1,)):
        candidates = load_candidates(table, imported["embeddings"], orders)
        assert (np.isin(candidates.members.numpy(), table.index[table["order"].isin(orders)])).all()
        low, high = similarity_range(features, candidates)
        torch.testing.assert_close(high, torch.ones(2), atol=1e-6, rtol=0)
        assert (low < high).all()


def test_imported_tokenizer_gives_the_outputs_of_the_release(imported: Files, tmp_path: Path) -> None:
    """The ids and pictures that the slow reference gives, and that check-parity compares with."""
    tensors = SMALL.checkpoint_tensors()
    expected = run_reference(SMALL.model, tensors)
    save_file({name: tensor.contiguous() for name, tensor in expected.items()}, tmp_path / "expected.safetensors")
    (tmp_path / "spec.json").write_text(json.dumps(SMALL.model.spec()))
    checkpoint = tmp_path / "release/checkpoints/v2l-decode.pth"
    assert all(
        comparison.passed
        for comparison in check_parity(checkpoint, tmp_path / "expected.safetensors", tmp_path / "spec.json")
    )
    tokenizer = load_tokenizer(imported["tokenizer"])
    assert tokenizer.config == CONFIG
    with torch.inference_mode():
        features = tokenizer.encode((expected["image"] + 1) / 2)
        assert torch.equal(tokenizer.nearest(features), expected["local_ids"])
        codebook = load_file(imported["vectors"])["codebook"]
        assert torch.equal(codebook, tensors["tok_embeddings_global.weight"])


def test_two_imports_write_the_same_bytes(imported: Files, tmp_path: Path) -> None:
    with_candidates = (tmp_path / "release" / "Subword_Bigram_Trigram_Vocabulary.npy").exists()
    first = {name: path.read_bytes() for name, path in imported.items()}
    (tmp_path / "again").mkdir()
    second = run(tmp_path / "again", SMALL.write(tmp_path / "other", with_candidates))
    assert {name: path.read_bytes() for name, path in second.items()} == first


def test_null_columns_have_the_types_of_the_suite(imported: Files) -> None:
    assert str(pq.read_schema(imported["rows"]).field("count").type) == "int64"
    assert str(pq.read_schema(imported["candidates"]).field("token_ids").type).startswith("list<element: int64")


def save_texts(change: Callable[[list], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        items = np.load(path, allow_pickle=True).tolist()
        change(items)
        np.save(path, np.array(items, dtype=object))

    return edit


def save_matrix(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return lambda path: torch.save(change(torch.load(path)), path)


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("local_vocabulary", save_texts(lambda x: x.pop()), r"local_codebook_embedding\.pth: expected 39 rows, one a"),
        ("local_vocabulary", save_texts(lambda x: x.__setitem__(3, 7)), "item 3: expected a text, found int"),
        ("local_vocabulary", save_texts(lambda x: x.clear()), "expected one text or more, found none"),
        ("local_embedding", save_matrix(lambda x: x[:39]), "expected 40 rows, one a text of .*, found 39"),
        ("local_embedding", save_matrix(lambda x: x.flip(0)), "row 0: expected that of tok_embeddings.weight in .*"),
        ("local_embedding", save_matrix(lambda x: x * torch.nan), "row 0: expected finite numbers"),
        ("local_embedding", save_matrix(lambda x: x[:, :19]), r"expected shape \[40, 20\] as in tok_embeddings\.w"),
        ("global_embedding", save_matrix(lambda x: x[:24]), "expected 25 rows, one a text of .*, found 24"),
        ("global_embedding", save_matrix(lambda x: x + 1), r"row 0: expected that of tok_embeddings_global\.weight in"),
        ("global_vocabulary", save_texts(lambda x: x.reverse()), "item 0: '.*' with its embedding is no candidate"),
        ("candidate_vocabulary", save_texts(lambda x: x.pop()), "expected 40 items, one a local token, found 39"),
        ("candidate_vocabulary", save_texts(lambda x: x[2].pop("3")), "item 2: expected texts 1, 2 and 3, found"),
        ("candidate_vocabulary", save_texts(lambda x: x.__setitem__(2, "cat")), "item 2: expected texts 1, 2 and 3"),
        ("candidate_vocabulary", save_texts(lambda x: x.reverse()), "item 0: expected '', the local token, found"),
        ("candidate_embedding", save_matrix(lambda x: x[:119]), "expected 120 rows, one a text of .*, found 119"),
        ("candidate_embedding", save_matrix(lambda x: x.flip(0)), r"row 0: expected that of .*local_codebook_emb"),
        ("candidate_embedding", Path.unlink, r"Vocabulary\.npy: expected both texts and embeddings of all candidates"),
        ("checkpoint", lambda path: edit_tensors(path, dict.clear), "expected tensors by name under 'model'"),
        (
            "checkpoint",
            lambda path: edit_tensors(path, lambda x: x.pop("module.tok_embeddings_global.weight")),
            r"expected tensor tok_embeddings_global\.weight, not found",
        ),
        (
            "checkpoint",
            lambda path: edit_tensors(path, lambda x: x.update({"module.encoder.extra": torch.ones(1)})),
            r"weights do not fit LocalTokenizer: unexpected encoder\.extra",
        ),
        ("checkpoint", lambda path: path.write_bytes(path.read_bytes()[:1000]), "refused"),
        ("checkpoint", Path.unlink, "file not found"),
        ("global_vocabulary", Path.unlink, "file not found"),
    ],
)
def test_files_that_do_not_fit_are_named_in_one_line(tmp_path: Path, file: str, edit, message: str) -> None:
    files = SMALL.write(tmp_path / "release")
    edit(files[file])
    if file.startswith("candidate") and not files[file].exists():
        del files[file]
    with pytest.raises(ArtifactError, match=message) as raised:
        run(tmp_path, files)
    assert str(raised.value).startswith(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_codebooks_of_two_widths_are_refused(tmp_path: Path) -> None:
    """The release has a codebook of the LLM's own embeddings too, which has no candidates."""
    files = SMALL.write(tmp_path / "release")
    save_matrix(lambda x: x[:, :12])(files["global_embedding"])

    def narrow(tensors: dict) -> None:
        for name in ("tok_embeddings_global", "decoder.mid.cross_attn_1.to_k", "decoder.mid.cross_attn_1.to_v"):
            tensors[f"module.{name}.weight"] = tensors[f"module.{name}.weight"][:, :12].clone()

    edit_tensors(files["checkpoint"], narrow)
    with pytest.raises(ArtifactError, match=r"global_codebook_embedding\.pth: expected width 20 as in .*, found 12"):
        run(tmp_path, files)


@pytest.mark.parametrize("file", ["local_vocabulary", "global_vocabulary", "candidate_vocabulary"])
def test_vocabulary_that_wants_to_run_code_is_refused_and_runs_none(tmp_path: Path, file: str) -> None:
    files = SMALL.write(tmp_path / "release")
    np.save(files[file], np.array([*["cat"] * 39, Touch(tmp_path / "made")], dtype=object))
    with pytest.raises(ArtifactError, match=rf"{files[file].name}: refused \(it asks for posix\.mkdir; only NumPy"):
        run(tmp_path, files)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("file", ["local_embedding", "global_embedding", "candidate_embedding", "checkpoint"])
def test_tensors_that_want_to_run_code_are_refused_and_run_none(tmp_path: Path, file: str) -> None:
    files = SMALL.write(tmp_path / "release")
    torch.save({"model": {"a": torch.ones(1)}, "args": Touch(tmp_path / "made")}, files[file])
    with pytest.raises(ArtifactError, match=rf"{files[file].name}: refused \(") as raised:
        run(tmp_path, files)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_channels": 64}, r"tokenizers\.v2l\.base_channels: expected 32 as in .*v2l-decode\.pth, found 64"),
        ({"attention_levels": [1]}, r"tokenizers\.v2l\.attention_levels: expected \[\] as in .*, found \[1\]"),
        ({"project_codes": False}, r"tokenizers\.v2l\.project_codes: expected True as in .*, found False"),
        ({"norm_groups": 8}, r"tokenizers\.v2l\.norm_groups: expected 32 as in .*, found 8"),
        ({"cross_attention_residual": True}, r"tokenizers\.v2l\.cross_attention_residual: expected False as in "),
        ({"unit_codes": True}, r"tokenizers\.v2l\.unit_codes: expected False as in .*, found True"),
        ({"num_global": 0}, r"tokenizers\.v2l\.num_global: expected 1 or more, as .* has cross-attention, found 0"),
    ],
)
def test_configuration_that_does_not_describe_the_checkpoint_is_named(tmp_path: Path, changes, message) -> None:
    with pytest.raises(V2LError, match=f"^{message}"):
        run(tmp_path, SMALL.write(tmp_path / "release"), config=CONFIG.model_copy(update=changes))


def test_only_the_tokenizer_and_codebook_that_were_released_can_be_asked_for(tmp_path: Path) -> None:
    files = SMALL.write(tmp_path / "release")
    with pytest.raises(V2LError, match=r"^tokenizers\.vqgan\.kind: expected v2l, the released one's, found vqgan"):
        run(tmp_path, files, config=VqGanConfig(), name="vqgan")
    with pytest.raises(V2LError, match=r"^vocab\.codebooks\.order_1: the released one is filtered, of orders 1, 2 and"):
        run(tmp_path, files, codebook_config=CodebookConfig(orders=[1]), codebook="order_1")
