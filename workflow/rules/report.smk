# Tables, figures and the page; they read artifacts only.


rule make_tables:
    input:
        code=suite.code_files("tables"),
        classify=rules.classify_metrics.output.metrics,
        semantics=rules.semantics_metrics.output.metrics,
        reconstruct=rules.reconstruct_metrics.output.metrics,
        published="config/published.csv",
    output:
        index=f"{RESULTS}/tables/index.json",
        files=expand(f"{RESULTS}/tables/table{{number}}.{{suffix}}", number=[1, 2, 3], suffix=["csv", "md", "tex"]),
    params:
        parameters("tables"),
        folder=subpath(output.index, parent=True),
    log:
        f"{RESULTS}/logs/tables.log",
    shell:
        "v2l tables --config {CONFIG} --classify {input.classify} --semantics {input.semantics}"
        " --reconstruct {input.reconstruct} --published {input.published} --folder {params.folder} --log {log}"


rule make_figures:
    input:
        code=suite.code_files("figures"),
        manifest=rules.emoji.output.manifest,
        global_tokens=rules.global_tokens.output.tokens,
        global_rows=rules.filter.output.rows,
        classify=rules.classify_metrics.output.metrics,
        examples=rules.reconstruct.output.examples,
        usage=rules.usage.output.rows,
        curves=rules.train.output.curves,
    output:
        index=f"{RESULTS}/figures/index.json",
        points=f"{RESULTS}/figures/few_shot.csv",
        files=expand(f"{RESULTS}/figures/fig{{number}}.{{suffix}}", number=range(1, 6), suffix=["png", "pdf", "txt"]),
    params:
        parameters("figures"),
        folder=subpath(output.index, parent=True),
    log:
        f"{RESULTS}/logs/figures.log",
    shell:
        "v2l figures --config {CONFIG} --manifest {input.manifest} --global-tokens {input.global_tokens}"
        " --global-rows {input.global_rows} --classify {input.classify} --examples {input.examples}"
        " --usage {input.usage} --curves {input.curves} --folder {params.folder} --log {log}"


rule report:
    input:
        code=suite.code_files("report"),
        **CLIP_METRICS,
        tables=rules.make_tables.output.index,
        figures=rules.make_figures.output.index,
        usage=rules.usage.output.metrics,
        semantics=rules.semantics_metrics.output.metrics,
        classify=rules.classify_metrics.output.metrics,
        reconstruct=rules.reconstruct_metrics.output.metrics,
    output:
        page=f"{RESULTS}/report.html",
    params:
        clip=suite.option("clip", CLIP_METRICS.get("clip", [])),
    log:
        f"{RESULTS}/logs/report.log",
    shell:
        "v2l report --config {CONFIG} --tables {input.tables} --figures {input.figures} {params.clip}"
        " --usage {input.usage} --semantics {input.semantics} --classify {input.classify}"
        " --reconstruct {input.reconstruct} --page {output.page} --log {log}"
