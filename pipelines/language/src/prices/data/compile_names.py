#!/usr/bin/env python3
"""Compiles currencies.tsv and names.tsv from CLDR (Unicode licence).

usage: compile_names.py CLDR_COMMON_DIR OUT_DIR

CLDR_COMMON_DIR holds main/*.xml and supplemental/supplementalData.xml
(Debian: package unicode-cldr-core, CLDR 41). Output is sorted: the same input gives the same bytes.
"""
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

LANGUAGES = ("en es pt fr de it nl sv da nb tr hi ar ru uk pl cs ro bg hr ca ga he id ms ja ka ko mn vi zh "
             "th el hu fi fa").split()
HISTORIC = {"FIM", "NLG", "ESP", "DEM", "FRF", "ITL", "PTE", "ATS", "BEF", "GRD", "IEP", "HRK"}
EXTRA = {"zh": ["zh", "zh_Hant"], "pt": ["pt", "pt_PT"], "es": ["es", "es_419"]}


def current(sup):
    codes, minor, regions = set(), {}, {}
    for region in sup.iter("region"):
        for cur in region.findall("currency"):
            if "to" not in cur.attrib and cur.get("tender") != "false":
                codes.add(cur.get("iso4217"))
                regions.setdefault(region.get("iso3166"), cur.get("iso4217"))
    for info in sup.iter("info"):
        minor[info.get("iso4217")] = int(info.get("digits"))
    return codes | HISTORIC, minor, regions


def usable(name):
    return 1 < len(name) < 40 and not re.search(r"[0-9()\[\]–/,]", name)


def main(common, out):
    common, out = Path(common), Path(out)
    sup = ET.parse(common / "supplemental" / "supplementalData.xml").getroot()
    codes, minor, regions = current(sup)
    codes = {c for c in codes if not c.startswith("X") or c in ("XAF", "XOF", "XCD", "XPF")}
    symbols = {c: set() for c in codes}
    names = {}
    for path in sorted((common / "main").glob("*.xml")):
        root = ET.parse(path).getroot()
        for cur in root.iter("currency"):
            code = cur.get("type")
            if code not in codes:
                continue
            for sym in cur.findall("symbol"):
                text = (sym.text or "").strip("\u200e\u200f ")
                narrow_letter = len(text) == 1 and text.isalpha()
                if text and text != code and text != "↑↑↑" and not narrow_letter and len(text) < 8:
                    symbols[code].add(text)
    for lang in LANGUAGES:
        for stem in EXTRA.get(lang, [lang]):
            path = common / "main" / f"{stem}.xml"
            if not path.exists() and lang == "nb":
                path = common / "main" / "no.xml"
            for cur in ET.parse(path).getroot().iter("currency"):
                code = cur.get("type")
                if code in codes:
                    for name in cur.findall("displayName"):
                        text = (name.text or "").replace("\u00a0", " ").strip().lower()
                        if text != "↑↑↑" and usable(text):
                            names.setdefault((lang, code), set()).add(text)
        if lang == "nb":
            for cur in ET.parse(common / "main" / "no.xml").getroot().iter("currency"):
                code = cur.get("type")
                if code in codes:
                    for name in cur.findall("displayName"):
                        text = (name.text or "").replace("\u00a0", " ").strip().lower()
                        if text != "↑↑↑" and usable(text):
                            names.setdefault((lang, code), set()).add(text)
    head = "# Compiled by compile_names.py from CLDR 41; Unicode licence (SPDX Unicode-3.0).\n"
    with open(out / "currencies.tsv", "w", encoding="utf8") as f:
        f.write(head + "# code, minor digits, symbols seen in any locale\n")
        for code in sorted(codes):
            f.write(f"{code}\t{minor.get(code, 2)}\t{'|'.join(sorted(symbols[code]))}\n")
    with open(out / "names.tsv", "w", encoding="utf8") as f:
        f.write(head + "# language, code, names\n")
        for (lang, code), forms in sorted(names.items()):
            f.write(f"{lang}\t{code}\t{'|'.join(sorted(forms))}\n")
    with open(out / "regions.tsv", "w", encoding="utf8") as f:
        f.write(head + "# country, currency in use there\n")
        for region, code in sorted(regions.items()):
            if code in codes:
                f.write(f"{region}\t{code}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
