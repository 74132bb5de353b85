"""The LLM's tokenizer behind one interface: the SentencePiece library itself, or a fast tokenizer of transformers."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.auto.tokenization_auto import get_tokenizer_config
from transformers.utils import cached_file

SENTENCEPIECE_FILE = "tokenizer.model"


class Tokenizer(Protocol):
    """Text to token ids and back. start_ids: what is put before a text (``<s>`` for LLaMA, nothing for SmolLM2)."""

    start_ids: list[int]

    def __len__(self) -> int:
        """Number of token ids."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without ``start_ids``."""
        ...

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        """Text of each id sequence, as ``Llm.decode`` has it."""
        ...


class FastTokenizer:
    """Any tokenizer that transformers loads."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self.start_ids: list[int] = tokenizer("")["input_ids"]

    def __len__(self) -> int:
        return len(self._tokenizer)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        # Some decoders strip the blank at the start of a text, so a letter stands before the ids.
        (letter,) = self.encode(["a"])
        anchored = [[*letter, *sequence] for sequence in (*sequences, ())]
        *texts, anchor = self._tokenizer.batch_decode(anchored, clean_up_tokenization_spaces=False)
        return [text[len(anchor) :] for text in texts]


class SentencePieceTokenizer:
    """A ``tokenizer.model``, read as Meta's code and the authors' read it.

    A blank is put before a text where the model asks for that (LLaMA's does). What looks like a special token in a
    text, ``</s>`` say, is text.
    """

    def __init__(self, processor: SentencePieceProcessor, add_bos: bool) -> None:
        """add_bos: whether a text begins with ``<s>``, if the model has that token."""
        self._processor = processor
        self._special = {i for i in range(len(self)) if processor.is_control(i) or processor.is_unknown(i)}
        self._letter: list[int] = processor.encode("a")
        self.start_ids: list[int] = [processor.bos_id()] if add_bos and processor.bos_id() >= 0 else []

    def __len__(self) -> int:
        return self._processor.vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._processor.encode(text) for text in texts]

    def decode(self, sequences: Sequence[Sequence[int]]) -> list[str]:
        return [self._decode_one(ids) for ids in sequences]

    def _decode_one(self, ids: Sequence[int]) -> str:
        parts = []
        for special, group in groupby(ids, self._special.__contains__):
            run = list(map(int, group))
            if special:  # the library gives nothing for them, and " ⁇ " for <unk>
                parts += map(self._processor.id_to_piece, run)
            else:  # the blank at the start of a text is not decoded, so a letter stands there
                parts.append(self._processor.decode([*self._letter, *run])[1:])
        return "".join(parts)


def load_tokenizer(location: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a model; location: keywords of ``from_pretrained``.

    A SentencePiece ``tokenizer.model`` is taken even beside a ``tokenizer.json``, as what transformers 5.23 makes of
    LLaMA's differs: from the former, runs of blanks are cut otherwise and without a ``tokenizer_config.json`` ``<s>``
    and the dummy blank are lost; from the latter, a text's leading blank is lost. Raises whatever transformers does.
    """
    name = location["pretrained_model_name_or_path"]
    if "gguf_file" not in location:
        file = cached_file(name, SENTENCEPIECE_FILE, _raise_exceptions_for_missing_entries=False)
        if file is not None and (processor := _read_sentencepiece(Path(file))) is not None:
            # A folder of LLaMA's may have no tokenizer_config.json; its texts begin with <s>.
            return SentencePieceTokenizer(processor, get_tokenizer_config(name).get("add_bos_token", True))
    return FastTokenizer(AutoTokenizer.from_pretrained(**location))


def _read_sentencepiece(file: Path) -> SentencePieceProcessor | None:
    """None for a file of another kind: Llama 3 gives this name to one of tiktoken's."""
    processor = SentencePieceProcessor()
    try:
        processor.load_from_serialized_proto(file.read_bytes())
    except RuntimeError:
        return None
    return processor
