# Pictures decoded from tokens: reconstruction, restoration in context, masked restoration after tuning.


rule reconstruct:
    input:
        code=suite.code_files("reconstruct"),
        manifest=MANIFEST,
        global_tokens=MAIN_GLOBAL_TOKENS,
        local_tokens=rules.local_tokens.output.tokens,
        tokenizer=rules.train.output.tokenizer,
        global_vectors=MAIN_VECTORS,
        networks=NETWORKS,
    output:
        rows=RESULTS + "/reconstruct/rows_{name}.parquet",
        features=RESULTS + "/reconstruct/features_{name}.safetensors",
        examples=RESULTS + "/reconstruct/examples_{name}.parquet",
    params:
        parameters("reconstruct"),
    log:
        RESULTS + "/logs/reconstruct_{name}.log",
    threads: THREADS
    shell:
        suite.command("reconstruct")


rule reconstruct_metrics:
    input:
        code=suite.code_files("reconstruct-metrics"),
        rows=expand(rules.reconstruct.output.rows, name=SUITE.tokenizers),
        features=expand(rules.reconstruct.output.features, name=SUITE.tokenizers),
    output:
        metrics=f"{RESULTS}/reconstruct/metrics.json",
    params:
        parameters("reconstruct-metrics"),
    log:
        f"{RESULTS}/logs/reconstruct-metrics.log",
    shell:
        suite.command("reconstruct-metrics")


rule restore:
    input:
        code=suite.code_files("restore"),
        manifest=MANIFEST,
        tokenizer=lambda wildcards: expand(
            rules.train.output.tokenizer, name=SUITE.restore.runs[wildcards.name].tokenizer
        ),
        global_tokens=MAIN_GLOBAL_TOKENS,
        global_vectors=MAIN_VECTORS,
        networks=NETWORKS,
        needs=LLM,
    output:
        rows=RESULTS + "/restore/rows_{name}.parquet",
        decisions=RESULTS + "/restore/decisions_{name}.parquet",
        features=RESULTS + "/restore/features_{name}.safetensors",
        examples=RESULTS + "/restore/examples_{name}.parquet",
    params:
        parameters("restore"),
        shard="",
    log:
        RESULTS + "/logs/restore_{name}.log",
    threads: THREADS
    priority: 1
    shell:
        suite.command("restore")


use rule restore as restore_shard with:
    output:
        **parts(
            rows=RESULTS + "/restore/shards/{name}/{scatteritem}_rows.parquet",
            decisions=RESULTS + "/restore/shards/{name}/{scatteritem}_decisions.parquet",
            features=RESULTS + "/restore/shards/{name}/{scatteritem}_features.safetensors",
            examples=RESULTS + "/restore/shards/{name}/{scatteritem}_examples.parquet",
        ),
    params:
        parameters("restore"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/restore_{name}/{scatteritem}.log",


rule merge_restore:
    input:
        **gathered(gather.restore, rules.restore_shard.output),
    output:
        *rules.restore.output,
    log:
        RESULTS + "/logs/restore_{name}/merge.log",
    shell:
        suite.merge_command("restore")


rule restore_metrics:
    input:
        code=suite.code_files("restore-metrics"),
        rows=expand(rules.restore.output.rows, name=SUITE.restore.runs),
        features=expand(rules.restore.output.features, name=SUITE.restore.runs),
    output:
        metrics=f"{RESULTS}/restore/metrics.json",
    params:
        parameters("restore-metrics"),
    log:
        f"{RESULTS}/logs/restore-metrics.log",
    shell:
        suite.command("restore-metrics")


rule tune_lora:
    input:
        code=suite.code_files("tune-lora"),
        manifest=MANIFEST,
        local_tokens=MAIN_LOCAL_TOKENS,
        needs=LLM,
    output:
        adapter=f"{RESULTS}/masked/adapter_model.safetensors",
        adapter_config=f"{RESULTS}/masked/adapter_config.json",
        loss=f"{RESULTS}/masked/loss.csv",
    params:
        parameters("tune-lora"),
    log:
        f"{RESULTS}/logs/tune-lora.log",
    threads: THREADS
    priority: 1
    shell:
        "exec " + suite.command("tune-lora")  # as training is


rule masked:
    input:
        code=suite.code_files("masked"),
        manifest=MANIFEST,
        local_tokens=MAIN_LOCAL_TOKENS,
        global_tokens=MAIN_GLOBAL_TOKENS,
        global_vectors=MAIN_VECTORS,
        tokenizer=expand(rules.train.output.tokenizer, name=MAIN_TOKENIZER),
        networks=NETWORKS,
        adapter=rules.tune_lora.output.adapter,
        adapter_config=rules.tune_lora.output.adapter_config,
        needs=LLM,
    output:
        rows=f"{RESULTS}/masked/rows.parquet",
        decisions=f"{RESULTS}/masked/decisions.parquet",
        examples=f"{RESULTS}/masked/examples.parquet",
    params:
        parameters("masked"),
    log:
        f"{RESULTS}/logs/masked.log",
    threads: THREADS
    priority: 1
    shell:
        suite.command("masked")


rule masked_metrics:
    input:
        code=suite.code_files("masked-metrics"),
        rows=rules.masked.output.rows,
    output:
        metrics=f"{RESULTS}/masked/metrics.json",
    log:
        f"{RESULTS}/logs/masked-metrics.log",
    shell:
        suite.command("masked-metrics")
