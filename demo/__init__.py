"""Three days of a grocer, from received files to delivered ones, run with the commands that a user types: `python -m demo`."""
