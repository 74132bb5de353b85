# Experiments: rows of single decisions or pictures first, then metrics computed from those rows.


rule classify:
    input:
        code=suite.code_files("classify"),
        episodes=rules.episodes.output.episodes,
        global_tokens=rules.global_tokens.output.tokens,
        global_rows=rules.filter.output.rows,
        needs=suite.llm_files(SUITE),
    output:
        predictions=f"{RESULTS}/classify/predictions.parquet",
    params:
        parameters("classify"),
    log:
        f"{RESULTS}/logs/classify.log",
    threads: THREADS
    shell:
        "v2l classify --config {CONFIG} --needs {input.needs} --episodes {input.episodes}"
        " --global-tokens {input.global_tokens} --global-rows {input.global_rows} --predictions {output.predictions} --log {log}"


rule classify_metrics:
    input:
        code=suite.code_files("classify-metrics"),
        predictions=rules.classify.output.predictions,
    output:
        metrics=f"{RESULTS}/classify/metrics.json",
    log:
        f"{RESULTS}/logs/classify-metrics.log",
    shell:
        "v2l classify-metrics --config {CONFIG} --predictions {input.predictions} --metrics {output.metrics} --log {log}"


rule reconstruct:
    input:
        code=suite.code_files("reconstruct"),
        manifest=rules.emoji.output.manifest,
        global_tokens=rules.global_tokens.output.tokens,
        local_tokens=rules.local_tokens.output.tokens,
        tokenizer=rules.train.output.tokenizer,
        global_vectors=rules.filter.output.vectors,
        networks=suite.asset_files("networks"),
    output:
        rows=f"{RESULTS}/reconstruct/rows.parquet",
        features=f"{RESULTS}/reconstruct/features.safetensors",
        examples=f"{RESULTS}/reconstruct/examples.parquet",
    params:
        parameters("reconstruct"),
    log:
        f"{RESULTS}/logs/reconstruct.log",
    threads: THREADS
    shell:
        "v2l reconstruct --config {CONFIG} --manifest {input.manifest}"
        " --global-tokens {input.global_tokens} --local-tokens {input.local_tokens}"
        " --tokenizer {input.tokenizer} --global-vectors {input.global_vectors} --networks {input.networks[0]}"
        " --rows {output.rows} --features {output.features} --examples {output.examples} --log {log}"


rule reconstruct_metrics:
    input:
        code=suite.code_files("reconstruct-metrics"),
        rows=rules.reconstruct.output.rows,
        features=rules.reconstruct.output.features,
    output:
        metrics=f"{RESULTS}/reconstruct/metrics.json",
    log:
        f"{RESULTS}/logs/reconstruct-metrics.log",
    shell:
        "v2l reconstruct-metrics --config {CONFIG} --rows {input.rows} --features {input.features}"
        " --metrics {output.metrics} --log {log}"


rule semantics:
    input:
        code=suite.code_files("semantics"),
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        candidates=rules.expand.output.candidates,
        embeddings=rules.embed.output.embeddings,
    output:
        rows=f"{RESULTS}/semantics/rows.parquet",
    params:
        parameters("semantics"),
    log:
        f"{RESULTS}/logs/semantics.log",
    threads: THREADS
    shell:
        "v2l semantics --config {CONFIG} --manifest {input.manifest} --features {input.features}"
        " --candidates {input.candidates} --embeddings {input.embeddings} --rows {output.rows} --log {log}"


rule semantics_metrics:
    input:
        code=suite.code_files("semantics-metrics"),
        rows=rules.semantics.output.rows,
    output:
        metrics=f"{RESULTS}/semantics/metrics.json",
    log:
        f"{RESULTS}/logs/semantics-metrics.log",
    shell:
        "v2l semantics-metrics --config {CONFIG} --rows {input.rows} --metrics {output.metrics} --log {log}"
