"""What starts runs and follows them: jobs, schedules, sensors and hooks."""
