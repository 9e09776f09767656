#!/usr/bin/env python3
"""Trains the names model, a linear chain over hashed features, and writes its int8 weights.

    cargo run --release --example predict name_features DATA/wnut17_train.jsonl > F/wnut17_train.jsonl
    ... and so for wnut17_dev and btc, then
    python3 train/names.py --data DATA --features F --out data/names_model.bin

Needs Python 3.11, numpy and scipy. Nothing is random: the same input gives the same file.
The Broad Twitter Corpus knows people, places and organisations only: its organisations may be groups
or companies, and what it leaves unmarked may be a product or a work. The chain is trained on all tag
sequences that agree with what a set says. `--hold-out` leaves out wnut17_dev and prints its score.
"""
import argparse, json, struct
from pathlib import Path
import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize

KINDS = ["corporation", "creative-work", "group", "location", "person", "product"]
TAGS, ROW, FORBIDDEN = 13, 16, -30.0
BROAD = {"PER": ["person"], "LOC": ["location"], "ORG": ["group", "corporation"]}
UNMARKED = ["product", "creative-work"]


def tag(kind, inside):
    return 1 + 2 * KINDS.index(kind) + int(inside)


def allowed_steps():
    """An inside follows the begin or inside of its kind only."""
    steps, first = np.zeros((TAGS, TAGS)), np.zeros(TAGS)
    for to in range(2, TAGS, 2):
        first[to] = FORBIDDEN
        for before in range(TAGS):
            if before not in (to, to - 1):
                steps[before, to] = FORBIDDEN
    return steps, first


class Set:
    """Texts of one length class, padded: hashes of tokens and the tags each may have."""

    def __init__(self, names, args, bits):
        texts = []
        for name in names:
            gold = {r["id"]: r for r in map(json.loads, open(Path(args.data) / f"{name}.jsonl", encoding="utf8"))}
            for line in open(Path(args.features) / f"{name}.jsonl", encoding="utf8"):
                row = json.loads(line)
                if row["tokens"]:
                    texts.append((row["id"], name, row["tokens"], gold[row["id"]]["entities"]))
        texts.sort(key=lambda t: (len(t[2]), t[0]))
        self.texts, self.blocks = texts, []
        data, ends, masks, at = [], [0], [], 0
        for _, name, tokens, entities in texts:
            masks.append(self.mask(name, tokens, entities))
            for _, hashes in tokens:
                data.append(np.asarray(hashes, dtype=np.uint64) >> np.uint64(32 - bits))
                ends.append(ends[-1] + len(hashes))
        lengths = [len(t[2]) for t in texts]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        i = 0
        while i < len(texts):
            j = i
            while j < len(texts) and lengths[j] <= max(lengths[i] * 1.3, lengths[i] + 2) and j - i < 2000:
                j += 1
            longest = lengths[j - 1]
            index = np.full((j - i, longest), -1)
            mask = np.zeros((j - i, longest, TAGS))
            for k in range(i, j):
                index[k - i, :lengths[k]] = np.arange(starts[k], starts[k + 1])
                mask[k - i, :lengths[k]] = masks[k]
            self.blocks.append((index, mask, np.array(lengths[i:j])))
            i = j
        columns = np.concatenate(data).astype(np.int64)
        self.x = sp.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(ends) - 1, 1 << bits))
        self.x.sum_duplicates()

    @staticmethod
    def mask(name, tokens, entities):
        broad = name == "btc"
        mask = np.full((len(tokens), TAGS), FORBIDDEN)
        mask[:, 0] = 0
        if broad:
            for kind in UNMARKED:
                mask[:, [tag(kind, 0), tag(kind, 1)]] = 0
        for entity in entities:
            inside = False
            for i, ((start, end), _) in enumerate(tokens):
                if start < entity["end"] and entity["start"] < end:
                    mask[i] = FORBIDDEN
                    for kind in BROAD[entity["type"]] if broad else [entity["type"]]:
                        mask[i, tag(kind, inside)] = 0
                    inside = True
        return mask


def log_sum(a, axis):
    top = a.max(axis=axis, keepdims=True)
    return (top + np.log(np.exp(a - top).sum(axis=axis, keepdims=True))).squeeze(axis)


def chain(emit, lengths, steps, first):
    """Log of the sum over all ways, with marginals of tags and of steps."""
    n, longest, _ = emit.shape
    top = emit.max(axis=2, keepdims=True)
    odds, e_steps = np.exp(emit - top), np.exp(steps)
    alive = np.arange(longest)[None, :] < lengths[:, None]
    forward, scale = np.zeros_like(emit), np.ones((n, longest))
    for t in range(longest):
        a = odds[:, t] * (np.exp(first)[None] if t == 0 else forward[:, t - 1] @ e_steps)
        s = a.sum(1)
        scale[:, t] = np.where(alive[:, t], s, 1)
        forward[:, t] = a / s[:, None]
    total = (np.log(scale) + np.where(alive, top[:, :, 0], 0)).sum(1)
    after = np.ones((n, TAGS))
    tags, moves = np.zeros_like(emit), np.zeros((TAGS, TAGS))
    for t in range(longest - 1, -1, -1):
        last = lengths - 1 == t
        after = np.where((lengths - 1 <= t)[:, None], 1.0, after)
        tags[:, t] = np.where(alive[:, t, None], forward[:, t] * after, 0)
        if t:
            here = odds[:, t] * after / scale[:, t][:, None] * alive[:, t, None]
            moves += (forward[:, t - 1].T @ here) * e_steps
            after = here @ e_steps.T
    return total.sum(), tags, moves


def train(data, bits, strength, weight_of, rounds):
    steps0, first0 = allowed_steps()
    size, free_steps, free_first = 1 << bits, steps0 == 0, first0 == 0
    used = np.flatnonzero(np.asarray((data.x != 0).sum(0)).ravel() >= 1)
    x = data.x[:, used].tocsr()
    xt = x.T.tocsr()

    def unpack(v):
        w = v[:len(used) * TAGS].reshape(len(used), TAGS)
        s, f = steps0.copy(), first0.copy()
        rest = v[len(used) * TAGS:]
        s[free_steps] = rest[:free_steps.sum()]
        f[free_first] = rest[free_steps.sum():]
        return w, s, f

    def loss(v):
        w, steps, first = unpack(v)
        emit = x @ w
        value, grad = 0.0, np.zeros_like(emit)
        d_steps, d_first = np.zeros((TAGS, TAGS)), np.zeros(TAGS)
        for index, mask, lengths in data.blocks:
            e = np.where(index[..., None] >= 0, emit[np.maximum(index, 0)], 0)
            free, free_tags, free_moves = chain(e, lengths, steps, first)
            held, held_tags, held_moves = chain(e + mask, lengths, steps, first)
            value += free - held
            flat = index >= 0
            grad[index[flat]] = (free_tags - held_tags)[flat]
            d_steps += free_moves - held_moves
            d_first += (free_tags[:, 0] - held_tags[:, 0]).sum(0)
        value += 0.5 * strength * (v @ v)
        g = np.concatenate([(xt @ grad).ravel(), d_steps[free_steps], d_first[free_first]]) + strength * v
        return value, g

    start = np.zeros(len(used) * TAGS + free_steps.sum() + free_first.sum())
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": rounds, "maxcor": 6})
    w, steps, first = unpack(found.x)
    full = np.zeros((size, TAGS))
    full[used] = w
    return full, steps, first, found.fun


def decode(emit, steps, first):
    score, back = emit[0] + first, []
    for e in emit[1:]:
        through = score[:, None] + steps
        back.append(through.argmax(0))
        score = through.max(0) + e
    tags = [int(score.argmax())]
    for b in reversed(back):
        tags.append(int(b[tags[-1]]))
    return tags[::-1]


def f1(data, w, steps, first):
    emit, at, hit, told, gold = data.x @ w, 0, {}, {}, {}
    for _, _, tokens, entities in data.texts:
        tags = decode(emit[at:at + len(tokens)], steps, first)
        at += len(tokens)
        names = []
        for (span, _), t in zip(tokens, tags):
            if t and t % 2 == 1:
                names.append([span[0], span[1], KINDS[(t - 1) // 2]])
            elif t:
                names[-1][1] = span[1]
        right = {(e["start"], e["end"], e["type"]) for e in entities}
        said = {tuple(n) for n in names}
        for kind in KINDS + ["all"]:
            of = lambda s: {x for x in s if kind in ("all", x[2])}
            hit[kind] = hit.get(kind, 0) + len(of(right) & of(said))
            told[kind] = told.get(kind, 0) + len(of(said))
            gold[kind] = gold.get(kind, 0) + len(of(right))
    return {k: round(2 * hit[k] / max(1, told[k] + gold[k]), 4) for k in hit}, told["all"], gold["all"]


def main():
    parser = argparse.ArgumentParser()
    for name in ("data", "features", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--hold-out", action="store_true")
    parser.add_argument("--without-broad", action="store_true")
    parser.add_argument("--bits", type=int, default=16)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=80)
    args = parser.parse_args()
    names = ["wnut17_train"] + ([] if args.hold_out else ["wnut17_dev"]) + ([] if args.without_broad else ["btc"])
    data = Set(names, args, args.bits)
    w, steps, first, value = train(data, args.bits, args.strength, None, args.rounds)
    print(f"{names}: loss {value:.1f}", flush=True)
    scales = np.maximum(np.quantile(np.abs(w[np.abs(w).sum(1) > 0]), 0.9999, axis=0), 1e-9) / 127
    small = np.clip(np.round(w / scales), -127, 127).astype(np.int8)
    if args.hold_out:
        print("wnut17_dev", *f1(Set(["wnut17_dev"], args, args.bits), small * scales, steps, first))
    pad = lambda row: np.pad(np.asarray(row, dtype="<f4"), (0, ROW - TAGS))
    with open(args.out, "wb") as out:
        out.write(b"FNM1" + struct.pack("<I", args.bits))
        for row in (scales, first, *steps):
            out.write(pad(row).tobytes())
        out.write(np.pad(small, ((0, 0), (0, ROW - TAGS))).tobytes())


if __name__ == "__main__":
    main()
