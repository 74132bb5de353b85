"""Stages that judge claims, draw figures and write tables and the page; they read artifacts only."""

from v2l.graph.files import CODEBOOK_ROWS, GLOBAL_TOKENS, PICTURES
from v2l.graph.language import (
    ALL_PREDICTIONS,
    ANSWERS,
    CAPTION_SCORES,
    CAPTIONS,
    FEW_SHOT,
    SEMANTICS,
    SEMANTICS_ROWS,
    VQA_SCORES,
)
from v2l.graph.pictures import (
    MASKED,
    MASKED_EXAMPLES,
    MASKED_ROWS,
    RECONSTRUCTION,
    RECONSTRUCTION_EXAMPLES,
    RECONSTRUCTION_ROWS,
    RESTORATION,
    RESTORATION_EXAMPLES,
    RESTORATION_ROWS,
    of_each,
)
from v2l.graph.spec import MAIN_TOKENIZER, Spec, Stage, result

TABLE_NAMES = (*(f"table{number}" for number in range(1, 8)), "ablations", "claims")
FIGURE_NAMES = ("fig5", "fig6", "fig7", "fig8", "reconstruction", "few_shot", "ablation", "codebook", "curves")

CLAIMS = result("claims/claims.json", "the paper's claims, each with statistic, interval and verdict")
USAGE_METRICS = result("tokens/metrics.json", "codes in use, perplexity, order shares")
TABLES = result("tables/index.json", "list of tables with captions")
FIGURES = result("figures/index.json", "list of figures with captions")

STAGES = (
    Stage(
        "claims",
        "claims",
        "v2l.claims.stage:claims",
        "Test the paper's claims on the rows of all experiments.",
        inputs={
            "classify": ALL_PREDICTIONS,
            "semantics": SEMANTICS_ROWS,
            "reconstruct": of_each(RECONSTRUCTION_ROWS, "tokenizers"),
            "restore": of_each(RESTORATION_ROWS, "restore.runs"),
            "caption": CAPTIONS,
            "vqa": ANSWERS,
            "masked": MASKED_ROWS,
        },
        outputs={"claims": CLAIMS},
        params={
            "config": "claims",
            "llm": "llm",
            "image_size_px": f"tokenizers.{MAIN_TOKENIZER}.image_size_px",
            "epochs": "train.epochs",
        },
        compute=False,
    ),
    Stage(
        "tables",
        "tables",
        "v2l.report.tables:tables",
        "All tables as CSV, Markdown and LaTeX, ours beside the published numbers.",
        inputs={
            "classify": FEW_SHOT,
            "semantics": SEMANTICS,
            "reconstruct": RECONSTRUCTION,
            "restore": RESTORATION,
            "caption": CAPTION_SCORES,
            "vqa": VQA_SCORES,
            "masked": MASKED,
            "claims": CLAIMS,
            "published": Spec("config/published.csv", "numbers printed in papers, each with its source"),
        },
        outputs={"folder": result("tables", "folder of tables, with the source of every cell")},
        params={"runs": "fewshot.runs", "answer": "fewshot.answer"},
        seeded=True,
        compute=False,
    ),
    Stage(
        "figures",
        "figures",
        "v2l.report.figures:figures",
        "All figures as PNG and PDF, each with its caption.",
        inputs={
            "manifest": PICTURES,
            "words_tokens": GLOBAL_TOKENS,
            "words_rows": CODEBOOK_ROWS,
            "classify": FEW_SHOT,
            "semantics": SEMANTICS,
            "reconstruct": RECONSTRUCTION,
            "reconstruct_examples": of_each(RECONSTRUCTION_EXAMPLES, "tokenizers"),
            "restore_examples": of_each(RESTORATION_EXAMPLES, "restore.runs"),
            "restore": RESTORATION,
            "caption": CAPTIONS,
            "vqa": ANSWERS,
            "masked_examples": MASKED_EXAMPLES,
            "masked": MASKED,
            "usage": result("tokens/usage.parquet", "codes by split with their counts"),
            "curves": result(
                "tokenizer/curves_{}.csv", "loss terms by step, of every tokenizer that is trained", True, "tokenizers"
            ),
        },
        outputs={"folder": result("figures", "folder of figures and captions")},
        params={"config": "figures", "runs": "fewshot.runs"},
        seeded=True,
        compute=False,
    ),
    Stage(
        "report",
        "report",
        "v2l.report.page:page",
        "One self-contained HTML page of all results.",
        inputs={
            "tables": TABLES,
            "figures": FIGURES,
            "claims": CLAIMS,
            "clip": result("clip/metrics.json", "held-out zero-shot accuracy", optional=True),
            "usage": USAGE_METRICS,
            "semantics": SEMANTICS,
            "classify": FEW_SHOT,
            "reconstruct": RECONSTRUCTION,
            "restore": RESTORATION,
            "caption": CAPTION_SCORES,
            "vqa": VQA_SCORES,
            "masked": MASKED,
        },
        outputs={"page": result("report.html", "the report")},
        compute=False,
    ),
)
