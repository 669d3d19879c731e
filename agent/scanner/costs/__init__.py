"""Where the time of a scan goes: the slowest files, and the rules that made them slow.

`scan_costs` is plain values. `rule_costs` looks for costly rules by scanning with parts of a pack; `rule_timing` gives
it a worker to scan with, and `rule_finder` calls that in the background while the agent runs.
"""
