"""An LLM that answers at once, and differently to every prompt."""

import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from v2l.config.llm import LlmConfig


def write_llm(folder: Path, assets: Path, hidden_size: int = 16, num_layers: int = 1, context: int = 512) -> LlmConfig:
    """A Llama with random weights, large ones, so that its answers depend on the prompt, and the embedded tokenizer."""
    sizes = {"hidden_size": hidden_size, "intermediate_size": 16, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes |= {"max_position_embeddings": context, "num_hidden_layers": num_layers}
        config = LlamaConfig(vocab_size=49_152, initializer_range=1.0, **sizes)
        LlamaForCausalLM(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(assets / "llm" / name, folder)
    return LlmConfig(source=str(folder))
