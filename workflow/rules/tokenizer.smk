# The tokenizer and the tokens of every picture.


rule train:
    input:
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        embeddings=rules.embed.output.embeddings,
        global_vectors=rules.filter.output.vectors,
        networks="data/networks/manifest.json",
    output:
        tokenizer=f"{RESULTS}/tokenizer/tokenizer.safetensors",
        curves=f"{RESULTS}/tokenizer/curves.parquet",
    params:
        parameters("train"),
    log:
        f"{RESULTS}/logs/train.log",
    threads: THREADS
    shell:
        "v2l train --config {CONFIG} --manifest {input.manifest} --features {input.features}"
        " --embeddings {input.embeddings} --global-vectors {input.global_vectors} --networks {input.networks}"
        " --tokenizer {output.tokenizer} --curves {output.curves} --log {log}"


rule tokens:
    input:
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        global_vectors=rules.filter.output.vectors,
        tokenizer=rules.train.output.tokenizer,
    output:
        tokens=f"{RESULTS}/tokens/tokens.parquet",
    params:
        parameters("tokens"),
    log:
        f"{RESULTS}/logs/tokens.log",
    threads: THREADS
    shell:
        "v2l tokens --config {CONFIG} --manifest {input.manifest} --features {input.features}"
        " --global-vectors {input.global_vectors} --tokenizer {input.tokenizer} --tokens {output.tokens} --log {log}"


rule usage:
    input:
        tokens=rules.tokens.output.tokens,
        global_rows=rules.filter.output.rows,
        manifest=rules.emoji.output.manifest,
    output:
        rows=f"{RESULTS}/tokens/usage.parquet",
        metrics=f"{RESULTS}/tokens/metrics.json",
    log:
        f"{RESULTS}/logs/usage.log",
    shell:
        "v2l usage --config {CONFIG} --tokens {input.tokens} --global-rows {input.global_rows}"
        " --manifest {input.manifest} --rows {output.rows} --metrics {output.metrics} --log {log}"
