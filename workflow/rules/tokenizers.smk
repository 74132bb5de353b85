# The tokenizers, the paper's and the baselines, by the same rules; tokens and words of the pictures.

# What a kind of tokenizer may learn from besides pictures.
SOURCES = {
    "features": expand(rules.image_features.output.features),
    "embeddings": expand(rules.embed.output.embeddings),
    "global_vectors": MAIN_VECTORS,
    "llm_embeddings": rules.llm_embeddings.output.embeddings,
}


rule train:
    input:
        unpack(lambda wildcards: suite.read_by(SUITE, wildcards.name, SOURCES)),
        code=suite.code_files("train"),
        manifest=MANIFEST,
        networks=NETWORKS,
    output:
        tokenizer=RESULTS + "/tokenizer/{name}.safetensors",
        curves=RESULTS + "/tokenizer/curves_{name}.csv",
    params:
        parameters("train"),
    log:
        RESULTS + "/logs/train_{name}.log",
    threads: THREADS
    resources:
        nodes=SUITE.runtime.nodes,
    priority: 2
    shell:
        "exec " + suite.command("train")  # in the shell's place, so that SIGTERM reaches it


rule global_tokens:
    input:
        code=suite.code_files("global-tokens"),
        manifest=MANIFEST,
        features=expand(rules.image_features.output.features),
        global_vectors=rules.filter.output.vectors,
    output:
        tokens=RESULTS + "/tokens/global_{codebook}.parquet",
    params:
        parameters("global-tokens"),
    log:
        RESULTS + "/logs/global-tokens_{codebook}.log",
    threads: THREADS
    priority: 3
    shell:
        suite.command("global-tokens")


rule local_tokens:
    input:
        code=suite.code_files("local-tokens"),
        manifest=MANIFEST,
        tokenizer=rules.train.output.tokenizer,
        # The usage of codes and the tuning of the LLM are about all pictures of the main tokenizer.
        selection=branch(lambda wildcards: wildcards.name == MAIN_TOKENIZER, [], rules.evaluation.output.evaluation),
    output:
        tokens=RESULTS + "/tokens/local_{name}.parquet",
    params:
        parameters("local-tokens"),
        shard="",
    log:
        RESULTS + "/logs/local-tokens_{name}.log",
    threads: THREADS
    priority: 2
    shell:
        suite.command("local-tokens")


use rule local_tokens as local_tokens_shard with:
    output:
        **parts(tokens=RESULTS + "/tokens/shards/{name}/{scatteritem}.parquet"),
    params:
        parameters("local-tokens"),
        shard=suite.shard_option,
    log:
        RESULTS + "/logs/local-tokens_{name}/{scatteritem}.log",


rule merge_local_tokens:
    input:
        **gathered(gather.local_tokens, rules.local_tokens_shard.output),
    output:
        *rules.local_tokens.output,
    log:
        RESULTS + "/logs/local-tokens_{name}/merge.log",
    shell:
        suite.merge_command("local-tokens")


MAIN_GLOBAL_TOKENS = expand(rules.global_tokens.output.tokens, **CODEBOOK)
MAIN_LOCAL_TOKENS = expand(rules.local_tokens.output.tokens, name=MAIN_TOKENIZER)


rule global_words:
    input:
        code=suite.code_files("global-words"),
        global_tokens=rules.global_tokens.output.tokens,
        global_rows=rules.filter.output.rows,
    output:
        words=RESULTS + "/words/{codebook}.parquet",
    wildcard_constraints:
        codebook="|".join(SUITE.vocab.codebooks),
    log:
        RESULTS + "/logs/global-words_{codebook}.log",
    priority: 3
    shell:
        suite.command("global-words")


rule local_words:
    input:
        code=suite.code_files("local-words"),
        local_tokens=rules.local_tokens.output.tokens,
        candidates=expand(rules.expand.output.candidates),
    output:
        words=RESULTS + "/words/{name}.parquet",
    wildcard_constraints:
        name="|".join(SUITE.tokenizers),
    log:
        RESULTS + "/logs/local-words_{name}.log",
    priority: 2
    shell:
        suite.command("local-words")


MAIN_WORDS = expand(rules.global_words.output.words, **CODEBOOK)


rule usage:
    input:
        code=suite.code_files("usage"),
        global_tokens=MAIN_GLOBAL_TOKENS,
        local_tokens=MAIN_LOCAL_TOKENS,
        global_rows=MAIN_ROWS,
        manifest=MANIFEST,
    output:
        rows=f"{RESULTS}/tokens/usage.parquet",
        metrics=f"{RESULTS}/tokens/metrics.json",
    log:
        f"{RESULTS}/logs/usage.log",
    shell:
        suite.command("usage")
