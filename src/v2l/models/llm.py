"""The frozen language model: any causal LM that transformers loads, with its tokenizer, working on token ids."""

import logging
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from v2l.config.llm import LlmConfig
from v2l.errors import ModelError
from v2l.models.llm_generation import Generation, Request
from v2l.models.llm_loading import load_model, locate, reason
from v2l.models.llm_tokenizers import Tokenizer, load_tokenizer
from v2l.models.weights import read_tensors
from v2l.progress import Progress
from v2l.runtime import Runtime

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json")  # as peft names them

logger = logging.getLogger(__name__)


class Llm:
    """A causal language model and its tokenizer.

    vocab_size: number of token ids that model and tokenizer share (paper: |T|); only these are generated.
    max_context: longest sequence, prompt and answer together.
    start_ids: what the tokenizer puts before a text (``<s>`` for LLaMA, nothing for SmolLM2).
    model: the network itself, frozen; for whoever tunes adapters on top of it.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: Tokenizer, max_context: int, batch_tokens: int) -> None:
        # Either may have more: rows of padding in the model, added tokens in the tokenizer.
        self.vocab_size = min(len(tokenizer), len(model.get_input_embeddings().weight))
        self.model = model
        self._tokenizer = tokenizer
        self._batch_tokens = batch_tokens
        self.max_context = max_context
        self.start_ids = tokenizer.start_ids

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without ``start_ids``."""
        return self._tokenizer.encode(texts)

    def tokenize_after(self, context: str, text: str) -> list[int]:
        """Ids of ``text`` as the tokenizer cuts it when it stands after ``context``.

        Raises ModelError if the ids of the context are no beginning of the ids of both.
        """
        before, both = self.tokenize([context, context + text])
        if both[: len(before)] != before:
            raise ModelError(f"the tokenizer merges {text!r} into the text before it, {context!r}")
        return both[len(before) :]

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Text of each id sequence as it stands within a text: a leading blank is kept, bytes that make no character
        are U+FFFD, special tokens are spelt out."""
        return self._tokenizer.decode(sequences)

    def with_adapter(self, folder: Path) -> "Llm":
        """The same language model with the LoRA adapter in ``folder`` applied; this one is not to be used any more.

        Raises ModelError if the adapter is not one for this model, ArtifactError if its weights cannot be read.
        """
        import peft  # slow to import, and few stages need it

        stored, _ = read_tensors(folder / ADAPTER_FILES[0])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.model = peft.PeftModel.from_pretrained(self.model, folder).eval().requires_grad_(False)
            own = peft.get_peft_model_state_dict(self.model, save_embedding_layers=False)
        except (ValueError, RuntimeError, OSError, KeyError, TypeError) as error:
            lines = " ".join(line.strip() for line in str(error).splitlines()[:2])
            raise ModelError(f"{folder}: no LoRA adapter for this model ({lines})") from error
        if others := sorted(stored.keys() ^ own.keys()):  # peft lets them pass
            raise ModelError(f"{folder}: no LoRA adapter for this model (only one of the two has {others[0]})")
        return self

    @property
    def num_parameters(self) -> int:
        """Weights of the network, shared ones once."""
        return self.model.num_parameters()

    @property
    def input_embeddings(self) -> Tensor:
        """The frozen embedding of every token id, [vocab_size, d], in the model's precision."""
        return self.model.get_input_embeddings().weight[: self.vocab_size]

    @cached_property
    def token_texts(self) -> list[str]:
        """Text of every single token id."""
        return self.decode([[token_id] for token_id in range(self.vocab_size)])

    def generate(self, requests: Sequence[Request], title: str) -> list[list[int]]:
        """The greedy answer to each request, in their order; its last id may be a stop id. Progress shows ``title``.

        Equal to generating one by one. Raises ModelError if a prompt with its longest answer exceeds the context.
        """
        generation = self._generation(requests)
        with Progress(title, generation.num_tokens, "prompt tokens") as progress:
            generation.run(lambda count: progress.advance(count, f"{generation.num_answered}/{len(requests)} answers"))
        return generation.answers

    def answer(self, requests: Sequence[Request]) -> list[list[int]]:
        """As ``generate``, without progress: for callers that ask many times and show their own."""
        generation = self._generation(requests)
        generation.run(lambda _: None)
        return generation.answers

    def _generation(self, requests: Sequence[Request]) -> Generation:
        for request in requests:
            length = request.num_prompt_tokens + request.decoding.max_new_tokens
            if length > self.max_context:
                raise ModelError(
                    f"{request.name}: {request.num_prompt_tokens} tokens and an answer of up to "
                    f"{request.decoding.max_new_tokens} exceed the LLM's context of {self.max_context}"
                )
        return Generation(self.model, requests, self.vocab_size, self._batch_tokens)


def load_llm(config: LlmConfig, runtime: Runtime) -> Llm:
    """Loads model and tokenizer from a folder, a GGUF file or the hub, in the runtime's dtype.

    Raises ModelError if the source does not exist or cannot be reached, or lacks tokenizer, configuration or weights.
    """
    location = locate(config.source)
    disable_progress_bar()
    try:
        tokenizer = load_tokenizer(location)
    except Exception as error:  # the readers of each format have errors of their own
        raise ModelError(
            f"{config.source}: no tokenizer that transformers can load ({reason(error, config.source)})"
        ) from error
    if not len(tokenizer):
        raise ModelError(f"{config.source}: no tokenizer that transformers can load (it has no tokens)")
    model = load_model(location, config, runtime)
    max_context = config.max_context or getattr(model.config, "max_position_embeddings", None)
    if max_context is None:
        raise ModelError(f"{config.source}: the model names no longest context; set llm.max_context")
    logger.info("%s: %s, %d tokens, context %d", config.source, type(model).__name__, len(tokenizer), max_context)
    return Llm(model, tokenizer, max_context, runtime.llm_batch_tokens)
