# Claims, tables, figures and the page; they read artifacts only.


rule claims:
    input:
        code=suite.code_files("claims"),
        classify=rules.classify_metrics.input.predictions,
        semantics=rules.semantics.output.rows,
        reconstruct=rules.reconstruct_metrics.input.rows,
        restore=rules.restore_metrics.input.rows,
        caption=expand(rules.caption.output.predictions),
        vqa=expand(rules.vqa.output.predictions),
        masked=rules.masked.output.rows,
    output:
        claims=f"{RESULTS}/claims/claims.json",
    params:
        parameters("claims"),
    log:
        f"{RESULTS}/logs/claims.log",
    shell:
        suite.command("claims")


rule make_tables:
    input:
        code=suite.code_files("tables"),
        classify=rules.classify_metrics.output.metrics,
        semantics=rules.semantics_metrics.output.metrics,
        reconstruct=rules.reconstruct_metrics.output.metrics,
        restore=rules.restore_metrics.output.metrics,
        caption=rules.caption_metrics.output.metrics,
        vqa=rules.vqa_metrics.output.metrics,
        masked=rules.masked_metrics.output.metrics,
        claims=rules.claims.output.claims,
        published="config/published.csv",
    output:
        index=f"{RESULTS}/tables/index.json",
        files=expand(f"{RESULTS}/tables/{{table}}.{{suffix}}", table=TABLE_NAMES, suffix=["csv", "md", "tex"]),
    params:
        parameters("tables"),
        folder=subpath(output.index, parent=True),
    log:
        f"{RESULTS}/logs/tables.log",
    shell:
        suite.command("tables")


rule make_figures:
    input:
        code=suite.code_files("figures"),
        manifest=MANIFEST,
        words_tokens=MAIN_GLOBAL_TOKENS,
        words_rows=MAIN_ROWS,
        classify=rules.classify_metrics.output.metrics,
        semantics=rules.semantics_metrics.output.metrics,
        reconstruct=rules.reconstruct_metrics.output.metrics,
        reconstruct_examples=expand(rules.reconstruct.output.examples, name=SUITE.tokenizers),
        restore_examples=expand(rules.restore.output.examples, name=SUITE.restore.runs),
        restore=rules.restore_metrics.output.metrics,
        caption=expand(rules.caption.output.predictions),
        vqa=expand(rules.vqa.output.predictions),
        masked_examples=rules.masked.output.examples,
        masked=rules.masked_metrics.output.metrics,
        usage=rules.usage.output.rows,
        curves=expand(rules.train.output.curves, name=suite.trained(SUITE)),
    output:
        index=f"{RESULTS}/figures/index.json",
        points=f"{RESULTS}/figures/few_shot.csv",
        files=expand(f"{RESULTS}/figures/{{figure}}.{{suffix}}", figure=suite.figure_names(SUITE), suffix=["png", "pdf", "txt"]),
    params:
        parameters("figures"),
        folder=subpath(output.index, parent=True),
    log:
        f"{RESULTS}/logs/figures.log",
    shell:
        suite.command("figures")


rule report:
    input:
        code=suite.code_files("report"),
        tables=rules.make_tables.output.index,
        figures=rules.make_figures.output.index,
        claims=rules.claims.output.claims,
        clip=CLIP_METRICS,
        usage=rules.usage.output.metrics,
        semantics=rules.semantics_metrics.output.metrics,
        classify=rules.classify_metrics.output.metrics,
        reconstruct=rules.reconstruct_metrics.output.metrics,
        restore=rules.restore_metrics.output.metrics,
        caption=rules.caption_metrics.output.metrics,
        vqa=rules.vqa_metrics.output.metrics,
        masked=rules.masked_metrics.output.metrics,
    output:
        page=f"{RESULTS}/report.html",
    log:
        f"{RESULTS}/logs/report.log",
    shell:
        suite.command("report")
