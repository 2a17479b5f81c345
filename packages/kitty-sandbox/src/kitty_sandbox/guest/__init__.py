"""The program inside the sandbox: bound read-only to /kitty/guest, standard library and pytest only.

It starts trusted, gives up everything it does not need (`confine`), and only then lets the
guest's code in (`__main__`). From then on nothing this process says is believed without proof; see `report`.
"""
