"""Rule routing: a file is scanned only by those rules whose conditions its first bytes and size leave possible.

The path of a rule: `reading` (source text to rules) → `conditions` (tokens to a tree) → `implications` (tree to the
`needs` every matching file must meet) → `partitions` (rules to a few packs) → `selection` (file to packs).
Beside it what a content must hold: `needles` of strings → `evidence` of conditions → `thinning` → `screening`; and
`refutation` of rules that need no strings.
Nothing here imports a YARA engine: in go sources, out come sources and a pure selector.

The invariant, proven by `tests/property/agent/scanner/routing`: the set of (namespace, rule) that match a file equals
that of the unpartitioned rules.
"""
