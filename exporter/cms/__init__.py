"""The vendor's server: how it is asked, what it answers, and why it may not."""
