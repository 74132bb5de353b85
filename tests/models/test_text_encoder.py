from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from v2l.errors import ModelError
from v2l.models.text_encoder import PASS_TEXTS, TextEncoder

TEXTS = ["cat", "a photo of a polar bear.", "a red sports car on a mountain road", "dog", "a photo of a fire engine."]


def test_equals_mean_pooling_one_text_at_a_time(assets: Path, runtime) -> None:
    folder = assets / "text_encoder"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    expected = []
    with torch.inference_mode():
        for text in TEXTS:
            hidden = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
            mean = hidden.sum(dim=0) / len(hidden)
            expected.append(mean / mean.norm())
    actual = TextEncoder(folder, runtime).encode(TEXTS)
    # float32, six layers: rounding of order 1e-6 on unit vectors
    torch.testing.assert_close(actual, torch.stack(expected), atol=1e-5, rtol=0)


@pytest.mark.parametrize("precision", ["runtime", "runtime_bf16"])
def test_embedding_does_not_depend_on_neighbours(assets: Path, request: pytest.FixtureRequest, precision: str) -> None:
    encoder = TextEncoder(assets / "text_encoder", request.getfixturevalue(precision))
    together = encoder.encode(TEXTS * 30)
    for index, text in enumerate(TEXTS):
        assert torch.equal(together[index], encoder.encode([text])[0])


def test_related_texts_are_closer_than_unrelated(assets: Path, runtime) -> None:
    cat, kitten, truck = TextEncoder(assets / "text_encoder", runtime).encode(["a cat", "a kitten", "a truck"])
    assert cat @ kitten > cat @ truck + 0.2


def test_counts_every_text_once(assets: Path, runtime) -> None:
    seen: list[int] = []
    TextEncoder(assets / "text_encoder", runtime).encode(TEXTS * 4, seen.append)
    assert sum(seen) == 20
    assert max(seen) <= PASS_TEXTS


def test_folder_without_a_model_is_refused_in_one_line(tmp_path: Path, runtime) -> None:
    with pytest.raises(ModelError, match="expected a text encoder and its tokenizer") as error:
        TextEncoder(tmp_path, runtime)
    assert "\n" not in str(error.value)
