"""One check-up per file; `agent.support.check_list` names them in the order in which causes precede what they cause."""
