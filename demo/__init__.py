"""Three days of a grocer's deliveries, run with the commands that a user types: `python -m demo`."""
