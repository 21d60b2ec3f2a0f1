"""The models of actions by family; `tools.executors.actions` joins them in one union."""
