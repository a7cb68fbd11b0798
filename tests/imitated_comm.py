"""The connection between a widget and a page, imitated: it keeps what Python sends."""


class Comm:
    """Stands for the connection to a page: keeps what is sent."""

    kernel = comm_id = "one"

    def __init__(self):
        self.sent = []

    def send(self, data=None, metadata=None, buffers=None):
        self.sent.append((data, buffers))

    def on_msg(self, callback):
        pass

    close = on_close = on_msg
