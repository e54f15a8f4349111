"""The consumers that are known, and the options of formats that serve each."""
