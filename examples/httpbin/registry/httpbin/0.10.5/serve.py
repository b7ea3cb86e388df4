"""Serve httpbin on $PORT."""

import os

from httpbin import app
from waitress import serve

serve(app, host="127.0.0.1", port=int(os.environ["PORT"]), threads=16)
