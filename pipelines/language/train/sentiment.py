#!/usr/bin/env python3
"""Trains the linear sentiment models, one for each language and one for all, and
writes their int8 weights.

    cargo run --release --example predict features DATA/umsab_english_train.jsonl > F/umsab_english_train.jsonl
    ... and so for every umsab_*_train and hutto_* file, then
    python3 train/sentiment.py --data DATA --features F --out data/sentiment_model.bin

Needs Python 3.11, numpy, scipy and scikit-learn. Seeds are fixed: the same input gives the same file.
The features are those of the Rust code, so that training and use cannot differ.
"""
import argparse, json, struct
from pathlib import Path
import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold

LABELS = {"negative": 0, "neutral": 1, "positive": 2}
LANGUAGES = ["arabic", "english", "french", "german", "hindi", "italian", "portuguese", "spanish"]
# Romanised Hindi is mostly taken for English or nothing, so it is left to the model of all.
MODELS = {"und": LANGUAGES, "ar": ["arabic"], "de": ["german"], "en": ["english"], "es": ["spanish"],
          "fr": ["french"], "it": ["italian"], "pt": ["portuguese"]}
TWEETS, REVIEWS = "hutto_tweets", "hutto_amazonReviewSnippets"
WORD_BITS, PIECE_BITS = 14, 15
# Chosen on the validation splits: weight of the plain numbers, of the rated tweets, and the
# strength of regularisation of both heads.
DENSE, RATED, STRENGTH, ALPHA = 4.0, 0.3, 0.07, 60.0


class Set:
    """One file: hashed words, hashed pieces, plain numbers, and what raters said."""

    def __init__(self, name, args):
        gold = {}
        for line in open(Path(args.data) / f"{name}.jsonl", encoding="utf8"):
            row = json.loads(line)
            gold[row["id"]] = row
        rows = [json.loads(line) for line in open(Path(args.features) / f"{name}.jsonl", encoding="utf8")]
        self.ids = [row["id"] for row in rows]
        self.words = block([row["words"] for row in rows], WORD_BITS)
        self.pieces = block([row["pieces"] for row in rows], PIECE_BITS)
        self.dense = np.array([row["dense"] for row in rows])
        self.scores = np.array([gold[i].get("score", 0.0) for i in self.ids])
        rated = [2 if s > 0.5 else 0 if s < -0.5 else 1 for s in self.scores]
        self.labels = np.array([LABELS.get(gold[i].get("label"), r) for i, r in zip(self.ids, rated)])


def block(rows, bits):
    """Counts of buckets over the root of the number of features."""
    ends = np.cumsum([0] + [len(row) for row in rows])
    buckets = np.concatenate([np.asarray(row, dtype=np.uint64) >> np.uint64(32 - bits) for row in rows])
    values = np.concatenate([np.full(len(row), 1 / max(len(row), 1) ** 0.5) for row in rows])
    matrix = sp.csr_matrix((values, buckets.astype(np.int64), ends), shape=(len(rows), 1 << bits))
    matrix.sum_duplicates()
    return matrix


def rarity(matrix):
    """Weights that make rare features heavier; they are folded into the model."""
    count = np.asarray((matrix > 0).sum(0)).ravel()
    return np.log((1 + matrix.shape[0]) / (1 + count)) + 1


def macro_f1(gold, told):
    scores = []
    for k in range(3):
        hit = ((gold == k) & (told == k)).sum()
        scores.append(2 * hit / max(1, (gold == k).sum() + (told == k).sum()))
    return float(np.mean(scores))


def classes(x, sets, weights):
    y = np.concatenate([s.labels for s in sets])
    model = LogisticRegression(C=STRENGTH, max_iter=400, tol=1e-4)
    model.fit(sp.vstack([x(s) for s in sets]).tocsr(), y, sample_weight=np.concatenate(weights))
    return model


def ratings(matrix, y):
    return Ridge(alpha=ALPHA, solver="sparse_cg", tol=1e-4, random_state=1).fit(matrix, y)


def held_out_ratings(x, tweets, reviews):
    """Five folds; the sentences of one review stay in one fold."""
    parts, told = [tweets, reviews], [np.zeros(len(s.ids)) for s in (tweets, reviews)]
    folds = []
    for s in parts:
        groups = [i.rsplit(".", 1)[1].split("_")[0] for i in s.ids]
        folds.append(list(GroupKFold(5).split(s.ids, groups=groups)))
    for pair in zip(*folds):
        matrix = sp.vstack([x(s)[train] for s, (train, _) in zip(parts, pair)]).tocsr()
        model = ratings(matrix, np.concatenate([s.scores[train] for s, (train, _) in zip(parts, pair)]))
        for k, (s, (_, test)) in enumerate(zip(parts, pair)):
            told[k][test] = model.predict(x(s)[test])
    for s, name, p in zip(parts, ("tweets", "reviews"), told):
        print(f"held out {name}: pearson {np.corrcoef(p, s.scores)[0, 1]:.4f}")


def quantised(weights):
    """int8 weights and the step of each output; the few largest are cut."""
    steps = np.maximum(np.quantile(np.abs(weights), 0.9999, axis=0), 1e-9) / 127
    return np.clip(np.round(weights / steps), -127, 127).astype(np.int8), steps


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "features", "out"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    train = {language: Set(f"umsab_{language}_train", args) for language in LANGUAGES}
    tweets, reviews = Set(TWEETS, args), Set(REVIEWS, args)
    share = np.bincount(tweets.labels, minlength=3) / len(tweets.labels)
    words, pieces = 1 << WORD_BITS, 1 << PIECE_BITS
    with open(args.out, "wb") as out:
        out.write(b"FSM2" + struct.pack("<4I", len(MODELS), WORD_BITS, PIECE_BITS, tweets.dense.shape[1]))
        for code, languages in MODELS.items():
            english = "english" in languages
            sets = [train[language] for language in languages]
            weights = [np.ones(len(s.ids)) for s in sets]
            if english:
                sets.append(tweets)
                weights.append(RATED / (3 * share[tweets.labels]))
            heavy = [rarity(sp.vstack([getattr(s, part) for s in sets])) for part in ("words", "pieces")]
            folded = [sp.diags(h) for h in heavy]

            def x(s):
                return sp.hstack([s.words @ folded[0], s.pieces @ folded[1], sp.csr_matrix(s.dense * DENSE)]).tocsr()

            label = classes(x, sets, weights)
            for language in languages:
                s = Set(f"umsab_{language}_val", args)
                print(f"{code}: {language} validation macro-F1 {macro_f1(s.labels, label.predict(x(s))):.4f}", flush=True)
            coef, bias = label.coef_, label.intercept_
            score, start = np.zeros(coef.shape[1]), 0.0
            if english:
                if code == "en":
                    held_out_ratings(x, tweets, reviews)
                rated = ratings(sp.vstack([x(tweets), x(reviews)]).tocsr(), np.concatenate([tweets.scores, reviews.scores]))
                score, start = rated.coef_, rated.intercept_
            all_weights = np.vstack([coef, score]).T
            word, word_steps = quantised(all_weights[:words] * heavy[0][:, None])
            piece, piece_steps = quantised(all_weights[words:words + pieces] * heavy[1][:, None])
            out.write(code.encode().ljust(4))
            for numbers in (word_steps, piece_steps, np.append(bias, start), all_weights[words + pieces:] * DENSE):
                out.write(np.asarray(numbers, dtype="<f4").tobytes())
            out.write(word.tobytes() + piece.tobytes())


if __name__ == "__main__":
    main()
