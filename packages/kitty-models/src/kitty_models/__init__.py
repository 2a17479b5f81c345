"""Local models for KITTY: what there is, how it gets here, how it is served, and what a running server can do.

Import what you need from its module; importing this package loads nothing, and only the engine process loads the
engine.

    catalogue   the models KITTY brings along, pinned by hash       choice     what `--model X` means
    pull        bring one here                                      store      what is here
    machine     which one fits this machine                         cpu_use    what other programs leave of the cores
    serve       run it in a process of its own                      doctor     all of it in one report
    discover    servers that the environment names                  reach      does one answer
    probe       what can it do
"""
