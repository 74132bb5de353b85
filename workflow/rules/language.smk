# What the LLM makes of a picture's words: a row a decision first, then metrics computed from those rows.


rule classify:
    input:
        code=suite.code_files("classify"),
        episodes=rules.episodes.output.episodes,
        words=lambda wildcards: f"{RESULTS}/words/{SUITE.fewshot.runs[wildcards.run].words}.parquet",
        needs=LLM,
    output:
        predictions=RESULTS + "/classify/predictions_{run}.parquet",
    params:
        parameters("classify"),
    log:
        RESULTS + "/logs/classify_{run}.log",
    threads: THREADS
    priority: 1  # the longest jobs
    shell:
        suite.command("classify")


rule classify_metrics:
    input:
        code=suite.code_files("classify-metrics"),
        predictions=expand(rules.classify.output.predictions, run=SUITE.fewshot.runs),
    output:
        metrics=f"{RESULTS}/classify/metrics.json",
    log:
        f"{RESULTS}/logs/classify-metrics.log",
    shell:
        suite.command("classify-metrics")


rule semantics:
    input:
        code=suite.code_files("semantics"),
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        candidates=rules.expand.output.candidates,
        embeddings=rules.embed.output.embeddings,
        global_vectors=expand(rules.filter.output.vectors, codebook=SUITE.vocab.codebooks),
        global_tokens=expand(rules.global_tokens.output.tokens, codebook=SUITE.vocab.codebooks),
    output:
        rows=f"{RESULTS}/semantics/rows.parquet",
    params:
        parameters("semantics"),
    log:
        f"{RESULTS}/logs/semantics.log",
    threads: THREADS
    shell:
        suite.command("semantics")


rule semantics_metrics:
    input:
        code=suite.code_files("semantics-metrics"),
        rows=rules.semantics.output.rows,
    output:
        metrics=f"{RESULTS}/semantics/metrics.json",
    log:
        f"{RESULTS}/logs/semantics-metrics.log",
    shell:
        suite.command("semantics-metrics")


rule caption:
    input:
        code=suite.code_files("caption"),
        manifest=rules.emoji.output.manifest,
        words=MAIN_WORDS,
        needs=LLM,
    output:
        predictions=f"{RESULTS}/caption/predictions.parquet",
    params:
        parameters("caption"),
    log:
        f"{RESULTS}/logs/caption.log",
    threads: THREADS
    shell:
        suite.command("caption")


rule caption_metrics:
    input:
        code=suite.code_files("caption-metrics"),
        predictions=rules.caption.output.predictions,
    output:
        metrics=f"{RESULTS}/caption/metrics.json",
    params:
        parameters("caption-metrics"),
    log:
        f"{RESULTS}/logs/caption-metrics.log",
    shell:
        suite.command("caption-metrics")


rule vqa:
    input:
        code=suite.code_files("vqa"),
        manifest=rules.emoji.output.manifest,
        questions=rules.questions.output.questions,
        words=MAIN_WORDS,
        needs=LLM,
    output:
        predictions=f"{RESULTS}/vqa/predictions.parquet",
    params:
        parameters("vqa"),
    log:
        f"{RESULTS}/logs/vqa.log",
    threads: THREADS
    shell:
        suite.command("vqa")


rule vqa_metrics:
    input:
        code=suite.code_files("vqa-metrics"),
        predictions=rules.vqa.output.predictions,
    output:
        metrics=f"{RESULTS}/vqa/metrics.json",
    log:
        f"{RESULTS}/logs/vqa-metrics.log",
    shell:
        suite.command("vqa-metrics")
