"""What changed between two moments: its SQL, and the rows of it as formats take them."""
