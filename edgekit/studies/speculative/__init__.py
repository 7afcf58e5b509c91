"""06: how much of a draft a target accepts, why, and when that makes generation faster."""
