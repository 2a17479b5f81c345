"""Answers in words, and calls the tools through the one door."""
