"""Real servers for the tests: each listens on 127.0.0.1, is polled until it answers and stopped in `finally`.

A server that is not installed, or that needs root, is a failure where CI is set and a skip with its reason elsewhere.
"""
