"""Names of the conditions that rows of an experiment are in; metrics, claims and the report find the rows by them."""

# Captions and answers.
PICTURE_WORDS, RANDOM_WORDS = "picture words", "random words"
MOST_FREQUENT, MAJORITY_ANSWER = "most frequent caption", "majority answer"
# Restoration in context, and floors and ceiling that masked restoration has too.
RESTORED, DEGRADED, RANDOM, CLEAN = "restored", "degraded tokens", "random tokens", "clean tokens"
# Masked restoration.
BEFORE, AFTER, MASKED = "before tuning", "after tuning", "masked tokens"
