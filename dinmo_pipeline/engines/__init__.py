"""Who computes: a folder for each engine that runs queries."""
