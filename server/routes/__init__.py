"""The HTTP routes, one module per subject.  Each gets the open service from `server.service.service_of`."""
