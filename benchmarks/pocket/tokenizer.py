"""The base model's own byte-level BPE, with Gemma's special tokens.

Words never carry the space before them, so that a name is cut into the same pieces in a question, after a dot and
inside quotes: copying it is then a matter of repeating tokens. To keep texts short all the same, spaces ride on
punctuation, SQL keywords and function words. Digits go in pairs; a last `s` stands alone, so that a plural begins like
its singular.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from corpus_words import FUNCTION_WORDS
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
"""In Gemma's order; ids 0 to 5."""
KEYWORDS = (
    "SELECT DISTINCT FROM WHERE AND OR NOT IN LIKE BETWEEN ORDER BY GROUP HAVING LIMIT DESC ASC JOIN LEFT ON AS UNION ALL "
    "INTERSECT EXCEPT WITH OVER PARTITION INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE VIEW INT INTEGER TEXT REAL FLOAT "
    "DOUBLE DATE VARCHAR BIGINT COUNT SUM AVG MIN MAX RANK ROW_NUMBER NULL IS PRIMARY KEY"
).split()

COMMON = (
    "Given <USER_QUERY> </USER_QUERY> <SCHEMA> </SCHEMA> user query schema, generate corresponding SQL command retrieve desired data, "
    "considering query's syntax, semantics, constraints.\n\n model turn using create count show list find give add insert change "
    "remove number different values first compute called named sorted ordered starts beginning belong linked together every"
)
"""Words of instructions to a model: they never occur in the corpus, and would otherwise fall into letters."""


def pattern() -> str:
    """How text is cut before pairs are merged."""
    keyword = "(?:" + "|".join(sorted(KEYWORDS, key=len, reverse=True)) + ")"
    words = (
        "(?:" + "|".join(sorted({w for f in FUNCTION_WORDS for w in (f, f.capitalize())}, key=len, reverse=True)) + ")"
    )
    edge_before, edge_after = "(?<![A-Za-z0-9_])", "(?![A-Za-z0-9_])"
    return "|".join(
        (
            r"</?[A-Z_]+>",
            rf" ?{edge_before}{keyword}(?: {keyword})*{edge_after} ?",
            rf" ?{edge_before}{words}(?: {words})*{edge_after} ?",
            r"[0-9]{1,2}",
            "_",
            r"[A-Z]?[a-z]{2,}(?=s(?![A-Za-z]))",
            r"[A-Z]?[a-z]+",
            "[A-Z]+",
            r"\n+",
            r" ?[^\sA-Za-z0-9_]+(?: [^\sA-Za-z0-9_]+)* ?",
            r"\s",
        )
    )


def train(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of `size` entries learnt from `texts`."""
    tokenizer = Tokenizer(models.BPE(unk_token=None))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern()), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        chain(texts, [COMMON] * 600),
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=list(SPECIAL),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer
