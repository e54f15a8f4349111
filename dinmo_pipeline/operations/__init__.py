"""What is looked at over all activations and feeds: who is late, and which runs still have a process."""
