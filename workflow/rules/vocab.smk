# From the LLM's vocabulary to the global codebooks.


rule expand:
    input:
        code=suite.code_files("expand"),
        needs=LLM,
    output:
        candidates=f"{RESULTS}/vocab/candidates.parquet",
    params:
        parameters("expand"),
    log:
        f"{RESULTS}/logs/expand.log",
    threads: THREADS
    priority: 3
    shell:
        suite.command("expand")


rule embed:
    input:
        code=suite.code_files("embed"),
        candidates=expand(rules.expand.output.candidates),
        text_encoder=TEXT_ENCODER,
    output:
        embeddings=f"{RESULTS}/vocab/embeddings.safetensors",
    params:
        parameters("embed"),
    log:
        f"{RESULTS}/logs/embed.log",
    threads: THREADS
    priority: 3
    shell:
        suite.command("embed")


rule llm_embeddings:
    input:
        code=suite.code_files("llm-embeddings"),
        candidates=expand(rules.expand.output.candidates),
        needs=LLM,
    output:
        embeddings=f"{RESULTS}/vocab/llm_embeddings.safetensors",
    params:
        parameters("llm-embeddings"),
    log:
        f"{RESULTS}/logs/llm-embeddings.log",
    threads: THREADS
    shell:
        suite.command("llm-embeddings")


rule count_nearest:
    input:
        code=suite.code_files("count-nearest"),
        candidates=expand(rules.expand.output.candidates),
        embeddings=expand(rules.embed.output.embeddings),
        features=expand(rules.image_features.output.features),
        manifest=MANIFEST,
    output:
        counts=RESULTS + "/vocab/counts_{codebook}.safetensors",
    params:
        parameters("count-nearest"),
        shard="",
    log:
        RESULTS + "/logs/count-nearest_{codebook}.log",
    threads: THREADS
    priority: 3
    shell:
        suite.command("count-nearest")


use rule count_nearest as count_nearest_shard with:
    output:
        **parts(counts=RESULTS + "/vocab/shards/{codebook}/{scatteritem}.safetensors"),
    params:
        parameters("count-nearest"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/count-nearest_{codebook}/{scatteritem}.log",


rule merge_count_nearest:
    input:
        **gathered(gather.count_nearest, rules.count_nearest_shard.output),
    output:
        *rules.count_nearest.output,
    log:
        RESULTS + "/logs/count-nearest_{codebook}/merge.log",
    shell:
        suite.merge_command("count-nearest")


rule filter:
    input:
        code=suite.code_files("filter"),
        candidates=expand(rules.expand.output.candidates),
        embeddings=expand(rules.embed.output.embeddings),
        counts=rules.count_nearest.output.counts,
    output:
        rows=RESULTS + "/vocab/codebook_{codebook}.parquet",
        vectors=RESULTS + "/vocab/codebook_{codebook}.safetensors",
    params:
        parameters("filter"),
    log:
        RESULTS + "/logs/filter_{codebook}.log",
    priority: 3
    shell:
        suite.command("filter")


CODEBOOK = {"codebook": SUITE.vocab.main}
MAIN_ROWS = expand(rules.filter.output.rows, **CODEBOOK)
MAIN_VECTORS = expand(rules.filter.output.vectors, **CODEBOOK)
