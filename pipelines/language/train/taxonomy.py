#!/usr/bin/env python3
"""Writes the product categories as this crate reads them: id, name, Google id; parents before children.

    python3 train/taxonomy.py --shopify categories.txt --google taxonomy-with-ids.en-US.txt --out data/product_categories.tsv

Names and ids are Shopify's (MIT). Of Google's file only the numbers are kept, where its path is
the same as Shopify's.
"""
import argparse


def main():
    parser = argparse.ArgumentParser()
    for name in ("shopify", "google", "out"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    google = {}
    for line in open(args.google, encoding="utf8"):
        if not line.startswith("#"):
            number, path = line.strip().split(" - ", 1)
            google[path.strip()] = number
    with open(args.out, "w", encoding="utf8") as out:
        for line in open(args.shopify, encoding="utf8"):
            if line.startswith("gid:"):
                gid, path = line.strip().split(" : ", 1)
                path = path.strip()
                out.write("\t".join((gid.strip().rsplit("/", 1)[1], path.split(" > ")[-1], google.get(path, ""))) + "\n")


if __name__ == "__main__":
    main()
