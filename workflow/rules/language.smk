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
        shard="",
    log:
        RESULTS + "/logs/classify_{run}.log",
    threads: THREADS
    priority: 3
    shell:
        suite.command("classify")


use rule classify as classify_shard with:
    output:
        **parts(predictions=RESULTS + "/classify/shards/{run}/{scatteritem}.parquet"),
    params:
        parameters("classify"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/classify_{run}/{scatteritem}.log",


rule merge_classify:
    input:
        **gathered(gather.classify, rules.classify_shard.output),
    output:
        *rules.classify.output,
    log:
        RESULTS + "/logs/classify_{run}/merge.log",
    shell:
        suite.merge_command("classify")


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
        manifest=MANIFEST,
        features=expand(rules.image_features.output.features),
        candidates=expand(rules.expand.output.candidates),
        embeddings=expand(rules.embed.output.embeddings),
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
        manifest=MANIFEST,
        words=MAIN_WORDS,
        needs=LLM,
    output:
        predictions=f"{RESULTS}/caption/predictions.parquet",
    params:
        parameters("caption"),
        shard="",
    log:
        f"{RESULTS}/logs/caption.log",
    threads: THREADS
    shell:
        suite.command("caption")


use rule caption as caption_shard with:
    output:
        **parts(predictions=RESULTS + "/caption/shards/{scatteritem}.parquet"),
    params:
        parameters("caption"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/caption/{scatteritem}.log",


rule merge_caption:
    input:
        **gathered(gather.caption, rules.caption_shard.output),
    output:
        *rules.caption.output,
    log:
        RESULTS + "/logs/caption/merge.log",
    shell:
        suite.merge_command("caption")


rule caption_metrics:
    input:
        code=suite.code_files("caption-metrics"),
        predictions=expand(rules.caption.output.predictions),
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
        manifest=MANIFEST,
        questions=QUESTIONS,
        words=MAIN_WORDS,
        needs=LLM,
    output:
        predictions=f"{RESULTS}/vqa/predictions.parquet",
    params:
        parameters("vqa"),
        shard="",
    log:
        f"{RESULTS}/logs/vqa.log",
    threads: THREADS
    shell:
        suite.command("vqa")


use rule vqa as vqa_shard with:
    output:
        **parts(predictions=RESULTS + "/vqa/shards/{scatteritem}.parquet"),
    params:
        parameters("vqa"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/vqa/{scatteritem}.log",


rule merge_vqa:
    input:
        **gathered(gather.vqa, rules.vqa_shard.output),
    output:
        *rules.vqa.output,
    log:
        RESULTS + "/logs/vqa/merge.log",
    shell:
        suite.merge_command("vqa")


rule vqa_metrics:
    input:
        code=suite.code_files("vqa-metrics"),
        predictions=expand(rules.vqa.output.predictions),
    output:
        metrics=f"{RESULTS}/vqa/metrics.json",
    log:
        f"{RESULTS}/logs/vqa-metrics.log",
    shell:
        suite.command("vqa-metrics")
