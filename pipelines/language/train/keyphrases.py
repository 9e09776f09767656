#!/usr/bin/env python3
"""Trains the network that ranks keyphrases and writes its weights (f32, little-endian).

    for s in inspec semeval2017 kdd wikinews_fr pt110; do
        cargo run --release --example predict keyphrase_measures DATA/$s.jsonl > F/$s.jsonl
    done
    python3 train/keyphrases.py --data DATA --features F --out data/keyphrase_model.bin

Needs Python 3.11, numpy and scikit-learn. Seeds are fixed. `--check` trains on two thirds of the
texts and prints F1@10 of the last third instead of writing anything.
"""
import argparse, json, re, unicodedata
from pathlib import Path
import numpy as np
from sklearn.neural_network import MLPClassifier

SETS = ["inspec", "semeval2017", "kdd", "wikinews_fr", "pt110"]
HIDDEN = 24


def norm(text):
    """Words in lower case; a plural s does not count."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in words)


def load(name, args):
    gold = {}
    for line in open(Path(args.data) / f"{name}.jsonl", encoding="utf8"):
        row = json.loads(line)
        gold[row["id"]] = {norm(k) for k in row["keys"]} - {""}
    texts = []
    for line in open(Path(args.features) / f"{name}.jsonl", encoding="utf8"):
        row = json.loads(line)
        names = [norm(n) for n, _ in row["phrases"]]
        if names and gold[row["id"]]:
            x = np.array([m for _, m in row["phrases"]], dtype=np.float32)
            texts.append((gold[row["id"]], names, x, np.array([n in gold[row["id"]] for n in names])))
    return texts


def fit(sets):
    """Every text weighs the same within its set, every set by the root of its size."""
    x, y, w = [], [], []
    for texts in sets:
        for _, _, measures, labels in texts:
            x.append(measures)
            y.append(labels)
            w.append(np.full(len(labels), len(texts) ** -0.5 / len(labels)))
    x, y, w = np.vstack(x), np.concatenate(y), np.concatenate(w)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    drawn = np.random.default_rng(1).choice(len(y), size=len(y), p=w / w.sum())
    model = MLPClassifier((HIDDEN,), alpha=1e-3, batch_size=512, learning_rate_init=2e-3, max_iter=12, random_state=1)
    model.fit(((x - mean) / scale)[drawn], y[drawn])
    return model, mean, scale, np.vstack([x.min(0), x.max(0)])


def f1(texts, rank, k=10):
    total = 0.0
    for gold, names, x, _ in texts:
        best = list(dict.fromkeys(names[i] for i in np.argsort(-rank(x), kind="stable")))[:k]
        hits = sum(n in gold for n in best)
        total += 2 * hits / (len(best) + len(gold))
    return total / len(texts)


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "features", "out"):
        parser.add_argument(f"--{name}", required=name != "out")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    sets = {name: load(name, args) for name in SETS}
    if args.check:
        model, mean, scale, _ = fit([[t for i, t in enumerate(texts) if i % 3] for texts in sets.values()])
        for name, texts in sets.items():
            print(name, round(f1(texts[::3], lambda x: model.predict_proba((x - mean) / scale)[:, 1]), 4))
        return
    model, mean, scale, bounds = fit(list(sets.values()))
    first, out = model.coefs_[0] / scale[:, None], model.coefs_[1][:, 0]
    bias = model.intercepts_[0] - (mean / scale) @ model.coefs_[0]
    with open(args.out, "wb") as file:
        for numbers in (bounds, first, bias, out, model.intercepts_[1]):
            file.write(np.asarray(numbers, dtype="<f4").tobytes())


if __name__ == "__main__":
    main()
