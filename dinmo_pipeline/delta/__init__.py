"""What a delta is and promises, as values without SQL."""
