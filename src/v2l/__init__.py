"""V2L Tokenizer reproducibility suite: images as words of a frozen language model (arXiv 2403.07874)."""

__version__ = "0.1.0"
