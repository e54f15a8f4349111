"""Files of this machine: private folders, locks, scratch files, checksums."""
