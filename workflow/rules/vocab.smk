# From the LLM's vocabulary to the global codebook.


rule expand:
    input:
        code=suite.code_files("expand"),
        needs=suite.llm_files(SUITE),
    output:
        candidates=f"{RESULTS}/vocab/candidates.parquet",
    params:
        parameters("expand"),
    log:
        f"{RESULTS}/logs/expand.log",
    threads: THREADS
    shell:
        "v2l expand --config {CONFIG} --needs {input.needs} --candidates {output.candidates} --log {log}"


rule embed:
    input:
        code=suite.code_files("embed"),
        candidates=rules.expand.output.candidates,
        text_encoder=TEXT_ENCODER,
    output:
        embeddings=f"{RESULTS}/vocab/embeddings.safetensors",
    params:
        parameters("embed"),
        text_encoder=lambda wildcards, input: suite.option("text-encoder", input.text_encoder),
    log:
        f"{RESULTS}/logs/embed.log",
    threads: THREADS
    shell:
        "v2l embed --config {CONFIG} --candidates {input.candidates} {params.text_encoder}"
        " --embeddings {output.embeddings} --log {log}"


rule filter:
    input:
        code=suite.code_files("filter"),
        candidates=rules.expand.output.candidates,
        embeddings=rules.embed.output.embeddings,
        features=rules.image_features.output.features,
        manifest=rules.emoji.output.manifest,
    output:
        rows=f"{RESULTS}/vocab/global_codebook.parquet",
        vectors=f"{RESULTS}/vocab/global_codebook.safetensors",
    params:
        parameters("filter"),
    log:
        f"{RESULTS}/logs/filter.log",
    threads: THREADS
    shell:
        "v2l filter --config {CONFIG} --candidates {input.candidates} --embeddings {input.embeddings}"
        " --features {input.features} --manifest {input.manifest}"
        " --rows {output.rows} --vectors {output.vectors} --log {log}"
