"""Defaults of masked restoration and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from v2l.config.masked import LoraConfig, MaskConfig, MaskedConfig


def test_defaults_are_the_papers_share_and_the_releases_adapter():
    config = MaskedConfig()
    assert config.mask.share == 0.3
    assert (config.lora.rank, config.lora.alpha, config.lora.targets) == (4, 32, ["q_proj", "k_proj"])
    assert config.lora.dropout == 0


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_outside_of_0_to_1_is_refused(share: float):
    with pytest.raises(ValidationError, match="share"):
        MaskConfig(share=share)


@pytest.mark.parametrize("changed", [{"rank": 0}, {"targets": []}, {"dropout": 1}, {"steps": 0}, {"learning_rate": 0}])
def test_an_adapter_that_could_not_learn_is_refused(changed: dict[str, Any]):
    with pytest.raises(ValidationError, match=next(iter(changed))):
        LoraConfig(**changed)
