"""Where file events come from: one file per mechanism, all behind `agent.domain.ports.EventSource`."""
