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
    shell:
        suite.command("expand")


rule embed:
    input:
        code=suite.code_files("embed"),
        candidates=rules.expand.output.candidates,
        text_encoder=TEXT_ENCODER,
    output:
        embeddings=f"{RESULTS}/vocab/embeddings.safetensors",
    params:
        parameters("embed"),
    log:
        f"{RESULTS}/logs/embed.log",
    threads: THREADS
    shell:
        suite.command("embed")


rule llm_embeddings:
    input:
        code=suite.code_files("llm-embeddings"),
        candidates=rules.expand.output.candidates,
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


rule filter:
    input:
        code=suite.code_files("filter"),
        candidates=rules.expand.output.candidates,
        embeddings=rules.embed.output.embeddings,
        features=rules.image_features.output.features,
        manifest=rules.emoji.output.manifest,
    output:
        rows=RESULTS + "/vocab/codebook_{codebook}.parquet",
        vectors=RESULTS + "/vocab/codebook_{codebook}.safetensors",
    params:
        parameters("filter"),
    log:
        RESULTS + "/logs/filter_{codebook}.log",
    threads: THREADS
    shell:
        suite.command("filter")


CODEBOOK = {"codebook": SUITE.vocab.main}
MAIN_ROWS = expand(rules.filter.output.rows, **CODEBOOK)
MAIN_VECTORS = expand(rules.filter.output.vectors, **CODEBOOK)
