"""Stage ``llm-embeddings``: the LLM's own input embeddings, the codebook of the LQAE-like baseline."""

from pathlib import Path

from v2l.artifacts import read_rows, write_arrays
from v2l.config.llm import LlmConfig
from v2l.models.llm import load_llm
from v2l.runtime import Runtime


def llm_embeddings(candidates: Path, embeddings: Path, llm: LlmConfig, runtime: Runtime) -> None:
    """Writes ``embeddings`` [N, d] float32, row = token id, of as many tokens as there are candidates of order 1."""
    num_tokens = int((read_rows(candidates, ["order"])["order"] == 1).sum())
    vectors = load_llm(llm, runtime).input_embeddings[:num_tokens]
    write_arrays(embeddings, {"embeddings": vectors.float().cpu().numpy()})
