"""Taking a person out of what this product keeps: a module for each kind of place."""
