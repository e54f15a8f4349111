"""Files of a sync rendered, uploaded, shown, and delivered once more."""
