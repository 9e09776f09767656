#!/usr/bin/env python3
"""Runs `predict` and the scorers over a data directory and prints the goal table. Plain Python."""
import argparse, json, re, subprocess, tempfile
from pathlib import Path

# row, part, set, scorer of predict, script, its options, path into its answer, anchor, demand, note
S = "sentiment"
ROWS = [
    (1, "entities", "entities/twitter_conformance", "entities", "eval_entities", [], "pass", 2048, 2048, ""),
    (1, "entities", "entities/emoji_cases", "emoji", "eval_entities", [], "pass", 5090, 5090, ""),
    (2, "entities", "entities/platform_rules", "entities", "eval_entities", [], "pass", 78, 90, ""),
    (4, "prices", "prices/price_parser", "price_parser", "eval_price_parser", [], "both", 1051, 1051, ""),
    (4, "prices", "prices/price_parser_xfail", "price_parser", "eval_price_parser", [], "both", 1, 95, ""),
    *[(5, "prices", "prices/recognizers_text", "spans", "eval_spans", ["--prefix", f"ms.currency.{lang}"], f, a, d, lang)
      for lang, f, a, d in [
          ("english", "case_acc", .872, .93), ("english", "span_f1", .891, .95), ("spanish", "case_acc", .844, .844),
          ("portuguese", "case_acc", .862, .862), ("french", "case_acc", .912, .912), ("japanese", "case_acc", .956, .956),
          ("chinese", "case_acc", .879, .879), ("german", "case_acc", 0, .60), ("italian", "case_acc", 0, .60),
          ("dutch", "case_acc", 0, .60), ("korean", "case_acc", 0, .60), ("turkish", "case_acc", 0, .60),
          ("swedish", "case_acc", 0, .60), ("hindi", "case_acc", 0, .60)]],
    *[(5, "prices", "prices/recognizers_text", "spans", "eval_spans", ["--prefix", f"ms.percent.{lang}"], "span_f1", 1.0, 1.0,
       f"percent {lang}") for lang in ("english", "spanish", "portuguese")],
    (6, "prices", "prices/duckling_money", "duckling", "eval_duckling", ["--lang", "en"], "value_kind_acc", None, .95, "en"),
    (6, "prices", "prices/duckling_money", "duckling", "eval_duckling", [], "value_kind_acc", None, .70, "all languages"),
    *[(r, "prices", "prices/promo_gold", "promo", "eval_promo", [], f"{s}.{f}", a, d, s) for r, s, f, a, d in [
        (7, "real", "price_cur_f1", .820, .95), (7, "real", "discount_f1", .816, .95), (7, "real", "code_f1", .857, .95),
        (7, "real", "caption_exact", .711, .88), (8, "hand", "price_cur_f1", .684, .92), (8, "hand", "discount_f1", .571, .90),
        (8, "hand", "code_f1", .539, .95), (8, "hand", "role_acc", 0, .85), (8, "hand", "clean_acc", .864, .97),
        (8, "hand", "caption_exact", .480, .80)]],
    (9, S, "sentiment/hutto_tweets", S, "eval_sentiment", [], "pearson", .875, .885, "learned from"),
    (9, S, "sentiment/hutto_amazonReviewSnippets", S, "eval_sentiment", [], "pearson", .590, .62, "learned from"),
    (10, S, "sentiment/tweeteval_test", S, "eval_sentiment", [], "macro_recall", .610, .63, ""),
    *[(11, S, f"sentiment/umsab_{lang}_{split}", S, "eval_sentiment", [], "macro_f1", a, d, split)
      for split in ("test", "val") for lang, a, d in [("english", .627, .64), ("arabic", .430, None), ("french", .586, None),
      ("german", .635, None), ("hindi", .438, None), ("italian", .535, None), ("portuguese", .622, None), ("spanish", .540, None)]],
    (12, S, "cta/annotated_captions", "annot", "eval_annot", [], "sentiment_strict", .775, .85, ""),
    *[(18, "language", f"langid/{f}", "language", "eval_langid", [], "acc", a, d, n) for f, a, d, n in [
        ("captions_lang", .971, .973, ""), ("tweets7", .974, .975, ""), ("lingua_sentences", .967, .967, "learned from"),
        ("lingua_word-pairs", .925, .88, "learned from")]],
    (19, "products", "ner/wnut17_test", "ner", "eval_ner", ["--types", "product"], "F1", .163, .17, "product"),
    (19, "products", "ner/wnut17_test", "ner", "eval_ner", [], "F1", .419, .32, "all types"),
    (19, "products", "ner/wnut17_dev", "ner", "eval_ner", ["--types", "product"], "F1", None, None, "product, dev"),
    (19, "products", "ner/wnut17_dev", "ner", "eval_ner", [], "F1", None, None, "all types, dev"),
    (19, "products", "ner/caption_products", "ner", "eval_ner", ["--types", "product"], "overlapF1", None, None, "captions"),
    (20, "products", "ner/caption_product_query", "product_query", "eval_product_query", [], "brand_recall", None, .97, ""),
    (20, "products", "ner/caption_product_query", "product_query", "eval_product_query", [], "model_recall", None, .90, ""),
    *[(21, "products", "cta/annotated_captions", "annot", "eval_annot", [], f, a, d, n) for f, a, d, n in [
        ("cta_by_section.real.F1", .833, .92, "real"), ("cta_by_section.hand.F1", .568, .92, "hand"),
        ("cta_type_f1", .624, .85, "type")]],
]


def lookup(answer, path):
    for key in path.split("."):
        answer = answer.get(key) if isinstance(answer, dict) else None
    return answer


def score(args, made, row):
    _, _, name, scorer, script, options, path, *_ = row
    gold = args.data / f"{name}.jsonl"
    if (scorer, name) not in made:
        pred = Path(made["folder"]) / f"{scorer}.{gold.name}"
        with open(pred, "w") as out:
            subprocess.run([args.bin / "predict", scorer, gold], stdout=out, check=True)
        made[scorer, name] = pred
    command = ["python3", args.data / "eval" / f"{script}.py", gold, made[scorer, name], *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    if script == "eval_promo":
        return lookup({(p := line.split(" ", 1))[0]: json.loads(p[1]) for line in lines}, path)
    return lookup(json.loads(lines[-1]), path)


def show(value):
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bin", type=Path, required=True)
    parser.add_argument("parts", nargs="*")
    args = parser.parse_args()
    wanted = lambda part: not args.parts or part in args.parts
    absent = set()
    print(f"| {'#':>2} | {'check':56} | {'anchor':>7} | {'demand':>7} | {'ours':>7} | |")
    print("|---:|---|---:|---:|---:|---|")
    with tempfile.TemporaryDirectory() as folder:
        made = {"folder": folder}
        for row in ROWS:
            number, part, name, _, _, _, path, anchor, demand, note = row
            if not wanted(part):
                continue
            if not (args.data / f"{name}.jsonl").is_file():
                absent.add(name)
                continue
            ours = score(args, made, row)
            verdict = "" if demand is None or ours is None else "met" if ours >= demand else "MISSED"
            check = f"{name.split('/')[-1]} {path.split('.')[-1]}" + (f" ({note})" if note else "")
            print(f"| {number:2} | {check:56} | {show(anchor):>7} | {show(demand):>7} | {show(ours):>7} | {verdict} |", flush=True)
    captions = args.data / "captions/captions_dev.jsonl"
    if wanted("speed") and captions.is_file():
        out = subprocess.run([args.bin / "speed", captions, "5", "all"], capture_output=True, text=True, check=True).stdout
        rate = re.search(r"^all\s+(\d+) captions.*p99 ([\d.]+) us", out, re.M)
        if rate:
            for check, demand, ours, met in [("captions/s of one core, all fields", "60000", rate[1], int(rate[1]) >= 60000),
                                             ("p99 in microseconds", "1000", rate[2], float(rate[2]) < 1000)]:
                print(f"| 24 | {check:56} | {'11800' if demand == '60000' else '-':>7} | {demand:>7} | {ours:>7} | {'met' if met else 'MISSED'} |")
    for name in sorted(absent):
        print(f"skipped: {name}.jsonl is not there")


if __name__ == "__main__":
    main()
