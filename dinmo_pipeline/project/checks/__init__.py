"""What definitions must agree on with each other; a module for each kind."""
