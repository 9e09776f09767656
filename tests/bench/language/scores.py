#!/usr/bin/env python3
"""Runs `predict` and the scorers over a data directory and prints the goal table. Plain Python."""
import argparse, json, re, subprocess, tempfile
from pathlib import Path

# row, part, set, scorer of predict, script, its options, path into its answer, anchor, demand, note, and
# perhaps options of predict; `DATA/` in them is the data directory
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
    (19, "products", "ner/wnut17_dev", "ner", "eval_ner", ["--types", "product"], "F1", None, None, "product, dev, learned from"),
    (19, "products", "ner/wnut17_dev", "ner", "eval_ner", [], "F1", None, None, "all types, dev, learned from"),
    (19, "products", "ner/caption_products", "ner", "eval_ner", ["--types", "product"], "overlapF1", None, None, "captions"),
    *[(13, "tags", f"keywords/{s}", "keywords", "eval_keywords", [], "F1@10", a, d, "")
      for s, a, d in [("inspec", .245, .265), ("semeval2017", .263, .285), ("www", .111, .125), ("kdd", .111, .125),
                      ("kpcrowd500", .174, .190), ("wikinews_fr", .229, .245), ("pt110", .196, .215)]],
    *[(14, "tags", f"keywords/hashtags_{s}", "tags", "eval_keywords", ["--tags"], "F1@10", .0645, .10, "without history")
      for s in ("test", "dev")],
    (14, "tags", "keywords/hashtags_test", "tags", "eval_keywords", ["--tags"], "F1@10", .207, .23, "with dev as history",
     ["--history", "DATA/keywords/hashtags_dev.jsonl"]),
    (15, "tags", "keywords/stackexchange_test", "tags", "eval_keywords", [], "F1@10", .126, .16, "with valid as history",
     ["--history", "DATA/keywords/stackexchange_valid.jsonl"]),
    *[(16, "tags", f"categories/{s}_test", "category", "eval_category", [], "acc", a, d, "",
       ["--train", f"DATA/categories/{s}_train.jsonl"])
      for s, a, d in [("flipkart", .966, .970), ("fashion", .973, .976), ("pricerunner", .985, .987)]],
    *[(16, "tags", f"categories/mwpd_{s}", "category", "eval_category", ["--mwpd"], "avg_weighted_f1", .891, .900, "",
       ["--train", "DATA/categories/mwpd_train.jsonl"]) for s in ("test", "val")],
    (17, "tags", "cta/annotated_captions", "annot", "eval_annot", [], "category_acc", .640, .80, ""),
    *[(23, "tags", "captions/captions_dev", "seo", "eval_seo", [], c, a, .985, "") for c, a in [
        ("title_len", .97), ("desc_len", .87), ("clean", None), ("differs", .41), ("kw_count", .84), ("kw_unique", None),
        ("kw_grounded", None), ("title_has_kw", None), ("no_stuffing", None)]],
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
    _, _, name, scorer, script, options, path, _, _, _, *more = row
    more = [word.replace("DATA", str(args.data)) for word in (more[0] if more else [])]
    gold = args.data / f"{name}.jsonl"
    key = (scorer, name, *more)
    if key not in made:
        pred = Path(made["folder"]) / f"{len(made)}.{scorer}.{gold.name}"
        with open(pred, "w") as out:
            subprocess.run([args.bin / "predict", scorer, gold, *more], stdout=out, stderr=subprocess.DEVNULL, check=True)
        made[key] = pred
    command = ["python3", args.data / "eval" / f"{script}.py", gold, made[key], *options]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    if script == "eval_promo":
        return lookup({(p := line.split(" ", 1))[0]: json.loads(p[1]) for line in lines}, path)
    return lookup(json.loads(lines[-1]), path)


def show(value):
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def line(number, check, anchor, demand, ours, met):
    print(f"| {number:2} | {check:56} | {anchor:>7} | {demand:>7} | {ours:>7} | {'met' if met else 'MISSED'} |", flush=True)


def speed(args, captions):
    for number, stage, anchor, demand in [(24, "all", 11800, 60000), (25, "tags", 2300, 20000)]:
        command = [args.bin / "speed", captions, "5", stage]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rate = re.search(rf"^{stage}\s+(\d+) captions.*p99 ([\d.]+) us", out, re.M)
        line(number, f"captions/s of one core, {stage}", anchor, demand, rate[1], int(rate[1]) >= demand)
        line(number, f"p99 in microseconds, {stage}", "-", 1000, rate[2], float(rate[2]) < 1000)


def trends(args):
    for reference in sorted((args.data / "trends").glob("reference_*.json")):
        end = json.loads(reference.read_text()).get("window_end")
        videos = args.data / "trends/tiktok_videos_2020.jsonl"
        with tempfile.NamedTemporaryFile("w") as out:
            options = ["--end", str(end)] if isinstance(end, int) else []
            subprocess.run([args.bin / "predict", "trends", videos, *options], stdout=out, check=True)
            command = ["python3", args.data / "eval/eval_trends.py", reference, out.name]
            told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for kind, rows in told.items():
            line(22, f"{reference.stem} {kind} exact rows", "-", "1.000", show(rows["exact_rows"]), rows["exact_rows"] == 1.0)


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
            number, part, name, _, _, _, path, anchor, demand, note, *_ = row
            if not wanted(part):
                continue
            if not (args.data / f"{name}.jsonl").is_file():
                absent.add(name)
                continue
            ours = score(args, made, row)
            verdict = "" if demand is None or ours is None else "met" if ours >= demand else "MISSED"
            check = f"{name.split('/')[-1]} {path.split('.')[-1]}" + (f" ({note})" if note else "")
            print(f"| {number:2} | {check:56} | {show(anchor):>7} | {show(demand):>7} | {show(ours):>7} | {verdict} |", flush=True)
    if wanted("tags"):
        trends(args)
    captions = args.data / "captions/captions_dev.jsonl"
    if wanted("speed") and captions.is_file():
        speed(args, captions)
    for name in sorted(absent):
        print(f"skipped: {name}.jsonl is not there")


if __name__ == "__main__":
    main()
