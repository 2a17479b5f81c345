"""What `./kitty bench jobs` measures, a part a module.

stores      the databases: a SQLite file, a PostgreSQL of its own
processes   the scripted model and the coder-agents, each in a process of its own
engine      the job engine alone, in this process: overhead, queue, events, saves
service     the whole service over HTTP: overhead, idle, rows and bytes
storm       what 1,000 workers would ask of the database
workers     several coder-agents over one database: throughput
report      the figures as lines; figures: numbers of numbers
"""
