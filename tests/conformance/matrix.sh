#!/usr/bin/env bash
# What each backend was held to, as Markdown: one row per group of cases, one column per suite.
#
#   tests/conformance/matrix.sh FILE
#
# FILE is what the suites appended while FLOTILLA_SUITE_LOG named it: suite, group, case, `ran` or
# `skipped`, and why, separated by tabs. A cell says how many cases ran, and how many there are where
# some did not; `-` stands for a group that is not in that suite, or that could not run here at all.
set -euo pipefail
log=${1:?usage: matrix.sh FILE}
[[ -s $log ]] || exit 0

sort -u "$log" | awk -F'\t' '
    {
        suite = $1; sub(/^flotilla-/, "", suite)
        group = $2
        if (!(suite in suites)) { suites[suite]; suite_names[++suite_count] = suite }
        if (!(group in groups)) { groups[group]; group_names[++group_count] = group }
        if (!((group, $3) in cases)) { cases[group, $3]; known[group]++ }
        if ($4 == "ran") { ran[suite, group]++; total[suite]++ }
        else { skipped[suite, $5] = skipped[suite, $5] " " $3; skips[suite, $5]++; left[suite]++ }
        shown[suite, group]
    }
    END {
        line = "| group |"; rule = "| --- |"
        for (s = 1; s <= suite_count; s++) { line = line " " suite_names[s] " |"; rule = rule " ---: |" }
        print line; print rule
        for (g = 1; g <= group_count; g++) {
            group = group_names[g]; line = "| " group " |"
            for (s = 1; s <= suite_count; s++) {
                n = ran[suite_names[s], group] + 0
                cell = n == known[group] ? n : n " of " known[group]
                line = line " " ((suite_names[s], group) in shown ? cell : "-") " |"
            }
            print line
        }
        line = "| all |"
        for (s = 1; s <= suite_count; s++) line = line " " total[suite_names[s]] + 0 " |"
        print line
        for (s = 1; s <= suite_count; s++)
            for (key in skipped) {
                split(key, part, SUBSEP)
                if (part[1] == suite_names[s])
                    notes[++note_count] = sprintf("- %s, %d skipped: %s.", part[1], skips[key], part[2])
            }
        if (note_count) print ""
        for (n = 1; n <= note_count; n++) print notes[n]
    }'
