import pytest
from pydantic import ValidationError

from v2l.config.tokenizer import V2LConfig, VqGanConfig


@pytest.mark.parametrize("kind", [V2LConfig, VqGanConfig])
def test_younger_keys_are_stored_only_where_they_say_something(kind) -> None:
    """Tokenizers that were stored before there were these keys keep their bytes, and their provenance its hash."""
    assert not {"attention_levels", "unit_features"} & kind().model_dump(mode="json").keys()
    assert kind(attention_levels=[2, 3]).model_dump(mode="json")["attention_levels"] == [2, 3]
    assert V2LConfig(unit_features=False).model_dump(mode="json")["unit_features"] is False
    for config in (V2LConfig(), V2LConfig(attention_levels=[0], unit_features=False)):
        assert V2LConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("levels", [[4], [1, 0], [2, 2], [-1]])
def test_attention_lies_at_levels_that_there_are(levels: list[int]) -> None:
    with pytest.raises(ValidationError, match=r"attention_levels"):
        V2LConfig(attention_levels=levels)
