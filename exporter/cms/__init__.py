"""The vendor's server: how it is asked, what it answers, and a stand-in for it."""
