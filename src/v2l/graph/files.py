"""Files that several stages name: the artifacts that lead from one room to the next."""

from v2l.graph.spec import Spec, asset, result

ICONS = asset("icons", "unpacked icon sets and emoji names")
NETWORKS = asset("networks", "unpacked VGG16, AlexNet and LPIPS weights")
TEXT_ENCODER = asset("text_encoder", "unpacked text encoder", optional=True)

PICTURES = result("data/manifest.parquet", "picture manifest: image_id, path, split, class, captions")
EPISODES = result("data/episodes.parquet", "few-shot episodes")
QUESTIONS = result("data/questions.parquet", "questions about pictures, each with ten answers")
EVALUATION = result("data/evaluation.parquet", "the pictures that are evaluated", optional=True)

TRUNK = result("clip/trunk_features.safetensors", "frozen image-trunk features of every picture", optional=True)
HEAD = result("clip/head.safetensors", "image head of the locked-text CLIP", optional=True)
FEATURES = result("clip/image_features.safetensors", "unit CLIP features of every picture")

CANDIDATES = result("vocab/candidates.parquet", "n-gram candidates: ngram_id, order, token_ids, text")
EMBEDDINGS = result("vocab/embeddings.safetensors", "text embeddings of the candidates")
LLM_EMBEDDINGS = result("vocab/llm_embeddings.safetensors", "input embeddings of the LLM's tokens")
COUNTS = result("vocab/counts_{codebook}.safetensors", "how often each candidate is among the nearest of a picture")
CODEBOOK_ROWS = result("vocab/codebook_{codebook}.parquet", "global codebook: ngram_id, order, text, count")
CODEBOOK_VECTORS = result("vocab/codebook_{codebook}.safetensors", "global codebook vectors [G, d]")

TOKENIZER = result("tokenizer/{name}.safetensors", "trained tokenizer weights")
GLOBAL_TOKENS = result("tokens/global_{codebook}.parquet", "global_ids of every picture, best first")
LOCAL_TOKENS = result("tokens/local_{name}.parquet", "local_ids of pictures, the map last, in raster order")
WORDS = result("words/{codebook}.parquet", "words of every picture, best first")

CODEBOOK_OPTION = Spec("orders_1_3", "the global codebook, one of vocab.codebooks")
TOKENIZER_OPTION = Spec("v2l", "the tokenizer, one of tokenizers")
RUN_OPTION = Spec("v2l", "the few-shot run, one of fewshot.runs")
