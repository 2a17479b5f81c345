"""Durable jobs: a table that is the queue and the record, leases instead of locks, an ordered stream of events a job.

submit ─> queued ─claim─> running ─finish─> succeeded | failed | cancelled ─resume─> queued
             ^               │
             └── sweep ──────┘ no sign of life of its worker: what the finished steps left is kept

A worker holds a job by a lease that it renews. Each claim counts `attempt` up, and whatever is written for the job is
written only while that number still holds: a worker that was stopped for a while, and goes on, writes nothing more.
"""
