"""How measures are named and rounded for a reader: the same in tables, figures and page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

DASH = "\N{EN DASH}"
ARROWS = {"higher": " ↑", "lower": " ↓", None: ""}


@dataclass(frozen=True)
class Display:
    """label and unit for readers; ``scale`` takes a stored value to that unit; ``digits`` after the point."""

    label: str
    digits: int
    unit: str = ""
    scale: float = 1.0
    better: str | None = None

    @property
    def heading(self) -> str:
        """Label, unit and an arrow for the better direction."""
        return self.label + (f" ({self.unit})" if self.unit else "") + ARROWS[self.better]

    def number(self, value: float) -> str:
        return f"{value * self.scale:,.{self.digits}f}"

    def text(self, entry: Mapping[str, Any]) -> str:
        """A metrics entry as ``value [low, high]``, or the value alone where there is no interval."""
        if entry.get("low") is None or entry.get("high") is None:
            return self.number(entry["value"])
        return f"{self.number(entry['value'])} [{self.number(entry['low'])}, {self.number(entry['high'])}]"


# How a run, tokenizer or codebook is called; a name that is not here is shown as it is.
METHODS = {
    "v2l": "V2L",
    "v2l_13b": "V2L, LLaMA 2 13B",
    "v2l_70b": "V2L, LLaMA 2 70B",
    "v2l_no_global": "V2L without global tokens",
    "v2l_no_projector": "V2L without projector",
    "vqgan": "VQ-GAN",
    "lqae": "LQAE-like",
    "spae": "SPAE-like",
}
CODEBOOKS = {
    "order_1": "single tokens",
    "orders_1_2": "up to bigrams",
    "orders_1_3": "up to trigrams (V2L)",
    "unfiltered": "up to trigrams, not filtered",
}

DISPLAYS = {
    "accuracy": Display("Accuracy", 1, "%", 100.0, "higher"),
    "clip": Display("CLIP", 3, better="higher"),
    "clip_r": Display("CLIP-R", 3, better="higher"),
    "codebook_size": Display("Codebook size", 0, "entries"),
    "psnr": Display("PSNR", 2, "dB", better="higher"),
    "ssim": Display("SSIM", 3, better="higher"),
    "lpips_vgg": Display("LPIPS-VGG", 3, better="lower"),
    "lpips_alex": Display("LPIPS-Alex", 3, better="lower"),
    "frechet_vgg16": Display("Fréchet (VGG16)", 2, better="lower"),
    "tokens_restored": Display("Tokens restored", 1, "%", 100.0, "higher"),
    "cider_d": Display("CIDEr-D", 3, better="higher"),
    "bleu_4": Display("BLEU-4", 3, better="higher"),
    "rouge_l": Display("ROUGE-L", 3, better="higher"),
    "vqa_accuracy": Display("VQA accuracy", 1, "%", 100.0, "higher"),
    "fid": Display("FID", 2, better="lower"),
    "zero_shot_top1": Display("CLIP zero-shot top-1", 1, "%", 100.0, "higher"),
    "zero_shot_top5": Display("CLIP zero-shot top-5", 1, "%", 100.0, "higher"),
    "codes_used": Display("Codes in use", 0),
    "perplexity": Display("Perplexity of codes", 0),
    "codebook_share_used": Display("Share of codebook in use", 1, "%", 100.0),
}


def display_of(name: str, entry: Mapping[str, Any]) -> Display:
    """The display of a measure; one without an own display is shown under its name, shares in per cent."""
    if name in DISPLAYS:
        return DISPLAYS[name]
    label = name.replace("_", " ").capitalize()
    if entry["unit"].startswith("fraction"):
        return Display(label, 1, "%", 100.0, entry["better"])
    return Display(label, 3, entry["unit"], better=entry["better"])
