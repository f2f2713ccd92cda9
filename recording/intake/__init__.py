"""Use case: an event becomes facts and jobs, whichever way it comes."""
