#!/usr/bin/env python3
"""Trains the linear model that tells languages of one script apart, and writes its int8 weights.

    python3 train/language.py --data DATA --cldr /usr/share/unicode/cldr/common --out data/language_model.bin [--folds 5]

DATA holds `langid/lingua_*.jsonl` and `sentiment/umsab_*_train.jsonl`; CLDR is Debian's `unicode-cldr-core`.
Needs Python 3.11, numpy and scipy. Seeds are fixed: the same input gives the same file. With --folds the
scores on held-out parts of the lingua files are printed before the final model is trained on all.
Features: pieces of 1 to 4 characters of `_word_` and whole words, hashed; `src/language/model.rs` makes the same.
"""
import argparse, functools, json, random, re, struct, unicodedata
from pathlib import Path
import numpy as np
import scipy.sparse as sp

GROUPS = {
    "latin": (17, "en es pt it fr de nl sv da no fi pl tr hu cs sk ro hr sl lt lv et vi id ms tl ca sw".split()),
    "cyrillic": (13, "ru uk bg mk sr be kk mn".split()),
    "devanagari": (13, "hi mr ne".split()),
    "arabic": (13, "ar fa ur".split()),
}
CLDR = {"no": "no", "tl": "fil", "sr": "sr"}
TWEETS = {"english": "en", "spanish": "es", "portuguese": "pt", "italian": "it", "french": "fr", "german": "de",
          "arabic": "ar"}
ALIAS = {"nb": "no"}
WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u064b-\u065f\u0900-\u0903\u093a-\u094f'’])*")
SEED, PRIME = 0x811C9DC5, 0x01000193
EPOCHS, BATCH, RATE, DECAY = 6, 256, 0.02, 1e-6


def words(text):
    return [w.strip("'") for w in (m.replace("’", "'") for m in WORD.findall(text.lower())) if w.strip("'")]


@functools.lru_cache(maxsize=None)
def pieces(word):
    """Hashes of the pieces of a word."""
    marked = f"_{word}_"
    out = []
    for start in range(len(marked)):
        h = SEED
        for length in range(1, 5):
            if start + length > len(marked):
                break
            h = ((h ^ ord(marked[start + length - 1])) * PRIME) & 0xFFFFFFFF
            if length > 1 or 0 < start < len(marked) - 1:
                out.append(mix(h))
    h = SEED
    for c in marked:
        h = ((h ^ ord(c)) * PRIME) & 0xFFFFFFFF
    if len(marked) > 4:
        out.append(mix(h ^ 0x5BD1E995))
    return tuple(out)


def mix(h):
    h = ((h ^ (h >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return ((h ^ (h >> 12)) * 0x297A2D39) & 0xFFFFFFFF


def matrix(docs, bits):
    ends, cols, vals = [0], [], []
    for doc in docs:
        n = 0
        for w in doc:
            p = pieces(w)
            cols.extend(h >> (32 - bits) for h in p)
            n += len(p)
        vals.append(np.full(n, 1 / max(n, 1) ** 0.5, dtype=np.float32))
        ends.append(ends[-1] + n)
    m = sp.csr_matrix((np.concatenate(vals), np.array(cols, dtype=np.int64), np.array(ends)), shape=(len(docs), 1 << bits))
    m.sum_duplicates()
    return m


def cut(tokens, rng):
    """A text in pieces as short as captions, some of one to three words."""
    out, at = [], 0
    while at < len(tokens):
        n = rng.choice((1, 2, 2, 3, 5, 8, 14))
        out.append(tokens[at:at + n])
        at += n
    return out


def cldr(folder, code):
    name = CLDR.get(code, code)
    text = []
    for part in ("annotations", "main"):
        path = Path(folder) / part / f"{name}.xml"
        if path.exists():
            found = re.findall(r">([^<>]{3,})<", path.read_text(encoding="utf8"))
            text.extend(t for t in found if not re.search(r"[{}#¤]|\b[yMdHhms]{1,4}\b", t))
    seen = set()
    for t in text:
        for piece in re.split(r"[|]", t):
            w = tuple(words(piece))
            if w and w not in seen:
                seen.add(w)
                yield list(w)


def script(w):
    c = ord(unicodedata.normalize("NFC", w)[0])
    return ("latin" if c < 0x250 or 0x1E00 <= c < 0x1F00 else "cyrillic" if 0x400 <= c < 0x530 else
            "devanagari" if 0x900 <= c < 0x980 else "arabic" if 0x600 <= c < 0x700 else "other")


def softmax_fit(x, y, weight, count, seed):
    """Adam on the log loss; weights in 32 bits."""
    rng = np.random.default_rng(seed)
    w = np.zeros((x.shape[1], count), dtype=np.float32)
    b = np.zeros(count, dtype=np.float32)
    m, v = np.zeros_like(w), np.zeros_like(w)
    step = 0
    for epoch in range(EPOCHS):
        order = rng.permutation(x.shape[0])
        rate = RATE * (1 - epoch / EPOCHS)
        for at in range(0, len(order), BATCH * 8):
            rows = order[at:at + BATCH * 8]
            xb = x[rows]
            logits = xb @ w * 4 + b
            logits -= logits.max(1, keepdims=True)
            p = np.exp(logits)
            p /= p.sum(1, keepdims=True)
            p[np.arange(len(rows)), y[rows]] -= 1
            p *= weight[rows][:, None] / len(rows)
            used = np.unique(xb.indices)
            g = (xb[:, used].T @ p) * 4 + DECAY * w[used]
            step += 1
            m[used] = 0.9 * m[used] + 0.1 * g
            v[used] = 0.99 * v[used] + 0.01 * g * g
            w[used] -= rate * (m[used] / (1 - 0.9 ** step)) / (np.sqrt(v[used] / (1 - 0.99 ** step)) + 1e-6)
            b -= rate * p.sum(0)
    return w * 4, b


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "cldr", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--folds", type=int, default=0)
    args = parser.parse_args()
    rng = random.Random(7)
    lingua = []
    for kind in ("sentences", "word-pairs", "single-words"):
        for line in open(Path(args.data) / f"langid/lingua_{kind}.jsonl", encoding="utf8"):
            row = json.loads(line)
            lingua.append((kind, ALIAS.get(row["label"], row["label"]), words(row["text"])))
    rng.shuffle(lingua)
    with open(args.out, "wb") as out:
        out.write(b"FLM1" + struct.pack("<I", len(GROUPS)))
        for group, (bits, codes) in GROUPS.items():
            base = []
            for i, code in enumerate(codes):
                lists = list(cldr(args.cldr, code))
                base += [([w for w in doc if script(w) == group], i, 0.5) for doc in lists]
                print(code, len(lists), "lists of CLDR")
            for name, code in TWEETS.items():
                if code in codes:
                    for line in open(Path(args.data) / f"sentiment/umsab_{name}_train.jsonl", encoding="utf8"):
                        text = re.sub(r"[@#]\w+|https?:\S+|\bhttp\b|\buser\b", " ", json.loads(line)["text"])
                        base += [([w for w in d if script(w) == group], codes.index(code), 1.0) for d in cut(words(text), rng)]
            mine = [(k, codes.index(c), [w for w in doc if script(w) == group]) for k, c, doc in lingua if c in codes]

            def train(rows, seed=1):
                docs = list(base)
                for _, i, doc in rows:
                    docs += [(d, i, 2.0) for d in cut(doc, rng)] + [(doc, i, 2.0)]
                docs = [d for d in docs if d[0]]
                y = np.array([d[1] for d in docs])
                weight = np.array([d[2] for d in docs], dtype=np.float32)
                share = np.bincount(y, weights=weight, minlength=len(codes))
                weight *= (weight.sum() / len(codes) / np.maximum(share, 1))[y] ** 0.7
                return softmax_fit(matrix([d[0] for d in docs], bits), y, weight, len(codes), seed)

            if args.folds and any(k == "sentences" for k, *_ in mine):
                hit, all_ = {}, {}
                for fold in range(args.folds):
                    w, b = train([r for j, r in enumerate(mine) if j % args.folds != fold])
                    rest = [r for j, r in enumerate(mine) if j % args.folds == fold]
                    told = np.asarray(matrix([r[2] for r in rest], bits) @ w + b).argmax(1)
                    for (k, i, _), t in zip(rest, told):
                        all_[k] = all_.get(k, 0) + 1
                        hit[k] = hit.get(k, 0) + (t == i)
                print(group, "held out:", {k: round(hit[k] / all_[k], 4) for k in all_})
            w, b = train(mine)
            scale = max(np.quantile(np.abs(w), 0.99999), 1e-9) / 127
            out.write(struct.pack("<3I", bits, len(codes), 0) + "".join(c.ljust(4) for c in codes).encode())
            out.write(struct.pack("<f", scale) + b.astype("<f4").tobytes())
            out.write(np.clip(np.round(w / scale), -127, 127).astype(np.int8).tobytes())


if __name__ == "__main__":
    main()
