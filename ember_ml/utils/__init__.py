"""Names under which the seeds look for what lives elsewhere."""
