# The reviewer's path: whatever is stored is taken as given, and no rule that computes is asked for.


rule tables:
    shell:
        "v2l review --config {CONFIG}"
