"""What other programs make of delivered files, by the commands of `docs/consumers.md` as they stand there."""
