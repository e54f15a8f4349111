"""What the object stores of all vendors share."""
