"""The coding workflow as a service: a request in, a module, its tests and an earned verdict out."""
