# The authors' released codebooks and checkpoint, in place of growing, embedding, filtering and training.

RELEASED = {"codebook": SUITE.vocab.main, "name": MAIN_TOKENIZER}


rule import_release:
    input:
        suite.release_files(SUITE),
        code=suite.code_files("release-artifacts"),
    output:
        expand(rules.expand.output.candidates),
        expand(rules.embed.output.embeddings),
        expand(rules.filter.output.rows, **CODEBOOK),
        expand(rules.filter.output.vectors, **CODEBOOK),
        expand(rules.train.output.tokenizer, name=MAIN_TOKENIZER),
    params:
        suite.parameters(SUITE, "release-artifacts", RELEASED),
        folder=SUITE.release,
    log:
        f"{RESULTS}/logs/import-release.log",
    shell:
        "v2l import-release {params.folder} --config {CONFIG} --log {log}"


ruleorder: import_release > expand
ruleorder: import_release > embed
ruleorder: import_release > filter
ruleorder: import_release > train
