"""The device, precision and threads of a run, resolved from its configuration."""

import pytest
import torch

from v2l.config.runtime import RuntimeConfig
from v2l.errors import ConfigError
from v2l.runtime import resolve_runtime

from .models.test_llm_generation import ARCHITECTURES, make_model

CPU = RuntimeConfig(device="cpu")


def test_precision_and_threads_are_taken_by_their_word():
    runtime = resolve_runtime(CPU, "bf16", threads=2)
    assert (runtime.device.type, runtime.dtype, torch.get_num_threads()) == ("cpu", torch.bfloat16, 2)
    assert resolve_runtime(CPU, "fp32", threads=1).dtype == torch.float32


@pytest.mark.parametrize("name", ["nonsense", "cuda:7"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(ConfigError, match=f"runtime.device: '{name}' cannot be used here"):
        resolve_runtime(RuntimeConfig(device=name), "fp32", threads=1)


def test_keys_that_heads_share_are_not_copied_for_each_on_a_cpu(monkeypatch):
    """As transformers does once there is a mask; that answers stay the same: test_llm_generation."""
    monkeypatch.delenv("TRANSFORMERS_SDPA_FORCE_GQA", raising=False)
    model, ids = make_model(ARCHITECTURES["llama"]), torch.arange(12).view(1, 12)
    mask = torch.ones(12, 12, dtype=torch.bool).tril()[None, None]
    heads = []
    attention = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, **keywords):
        heads.append((query.shape[1], key.shape[1]))
        return attention(query, key, value, **keywords)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    with torch.inference_mode():
        copied = model(ids, attention_mask=mask).logits
        resolve_runtime(CPU, "fp32", threads=1)
        shared = model(ids, attention_mask=mask).logits
    assert heads == [(4, 4)] * 2 + [(4, 2)] * 2  # two layers each
    assert torch.allclose(copied, shared, rtol=0, atol=1e-5)
