"""What a stage of the graph is made of: names, files, keys of the configuration. Data only, cheap to import."""

from dataclasses import dataclass, field

RESULTS = "results/demo/"  # where the examples lie
MAIN_TOKENIZER = "v2l"  # the paper's own; captions, masked restoration and the usage of codes are its
EXAMPLES = {"name": MAIN_TOKENIZER, "codebook": "orders_1_3", "run": "v2l"}


@dataclass(frozen=True)
class Spec:
    """One input, output or option: where it lies, and what it is.

    path: relative to the working folder; may hold an option of the stage in braces, e.g. ``{name}``.
    each: key of the configuration with several entries; there is one file for every entry, put in place of ``{}``.
    asset: a manifest with the files it lists after it; the stage gets the manifest.
    """

    path: str
    description: str
    optional: bool = False
    each: str = ""
    asset: bool = False

    @property
    def example(self) -> str:
        """A path that can be pasted."""
        return self.path.format(EXAMPLES["codebook" if self.each == "vocab.codebooks" else "name"], **EXAMPLES)


@dataclass(frozen=True)
class Stage:
    """One stage: the function behind it, its files, and the keys of the configuration its result depends on.

    A family is what `dvc repro` knows as a stage: those that are run again together. A key in ``params`` may hold an
    option in braces: ``tokenizers.{name}``.
    shared_batch: key of the batch that several processes share out; empty for a stage of one process. They need
    a scratch folder: ``resumable``.
    shards: of a stage that can handle a part of its items, how the parts of each output become one (`v2l.shards`).
    """

    name: str
    family: str
    target: str
    summary: str
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]
    params: dict[str, str] = field(default_factory=dict)
    options: dict[str, Spec] = field(default_factory=dict)
    seeded: bool = False
    compute: bool = True
    resumable: bool = False
    shared_batch: str = ""
    shards: dict[str, str] = field(default_factory=dict)

    @property
    def reads_named_files(self) -> bool:
        """Whether it reads what the configuration names, an LLM or lists of episodes; rules call it ``needs``."""
        return (self.compute and "llm" in self.params.values()) or "episodes" in self.params.values()


def result(path: str, description: str, optional: bool = False, each: str = "") -> Spec:
    """A file of a run."""
    return Spec(RESULTS + path, description, optional, each)


def asset(name: str, description: str, optional: bool = False) -> Spec:
    """An unpacked embedded asset."""
    return Spec(f"data/{name}/manifest.json", description, optional, asset=True)
