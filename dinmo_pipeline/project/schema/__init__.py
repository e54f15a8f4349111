"""What each definition may say: its fields, their types and limits."""
