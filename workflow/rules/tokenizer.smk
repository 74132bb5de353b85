# The tokenizer and the tokens of every picture.


rule train:
    input:
        code=suite.code_files("train"),
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        embeddings=rules.embed.output.embeddings,
        global_vectors=rules.filter.output.vectors,
        networks=suite.asset_files("networks"),
    output:
        tokenizer=f"{RESULTS}/tokenizer/tokenizer.safetensors",
        curves=f"{RESULTS}/tokenizer/curves.csv",
    params:
        parameters("train"),
    log:
        f"{RESULTS}/logs/train.log",
    threads: THREADS
    shell:
        "v2l train --config {CONFIG} --manifest {input.manifest} --features {input.features}"
        " --embeddings {input.embeddings} --global-vectors {input.global_vectors} --networks {input.networks[0]}"
        " --tokenizer {output.tokenizer} --curves {output.curves} --log {log}"


rule global_tokens:
    input:
        code=suite.code_files("global-tokens"),
        manifest=rules.emoji.output.manifest,
        features=rules.image_features.output.features,
        global_vectors=rules.filter.output.vectors,
    output:
        tokens=f"{RESULTS}/tokens/global.parquet",
    params:
        parameters("global-tokens"),
    log:
        f"{RESULTS}/logs/global-tokens.log",
    threads: THREADS
    shell:
        "v2l global-tokens --config {CONFIG} --manifest {input.manifest} --features {input.features}"
        " --global-vectors {input.global_vectors} --tokens {output.tokens} --log {log}"


rule local_tokens:
    input:
        code=suite.code_files("local-tokens"),
        manifest=rules.emoji.output.manifest,
        tokenizer=rules.train.output.tokenizer,
    output:
        tokens=f"{RESULTS}/tokens/local.parquet",
    params:
        parameters("local-tokens"),
    log:
        f"{RESULTS}/logs/local-tokens.log",
    threads: THREADS
    shell:
        "v2l local-tokens --config {CONFIG} --manifest {input.manifest} --tokenizer {input.tokenizer}"
        " --tokens {output.tokens} --log {log}"


rule usage:
    input:
        code=suite.code_files("usage"),
        global_tokens=rules.global_tokens.output.tokens,
        local_tokens=rules.local_tokens.output.tokens,
        global_rows=rules.filter.output.rows,
        manifest=rules.emoji.output.manifest,
    output:
        rows=f"{RESULTS}/tokens/usage.parquet",
        metrics=f"{RESULTS}/tokens/metrics.json",
    log:
        f"{RESULTS}/logs/usage.log",
    shell:
        "v2l usage --config {CONFIG} --global-tokens {input.global_tokens}"
        " --local-tokens {input.local_tokens} --global-rows {input.global_rows}"
        " --manifest {input.manifest} --rows {output.rows} --metrics {output.metrics} --log {log}"
