"""Serve Radicale on $PORT, with the smoke users as its accounts and its data in $RADICALE_DATA."""

import json
import os
import sys
from pathlib import Path

import radicale.__main__

data = Path(os.environ["RADICALE_DATA"])
data.mkdir(parents=True, exist_ok=True)
users = Path("users")
users.write_text("".join(f"{user['email']}:{user['password']}\n" for user in json.loads(os.environ["SEED_USERS"])))
users.chmod(0o600)
Path("config").write_text(f"""\
[server]
hosts = 127.0.0.1:{os.environ["PORT"]}
[auth]
type = htpasswd
htpasswd_filename = {users.absolute()}
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {data}
[logging]
level = warning
""")
sys.argv = ["radicale", "--config", "config"]
radicale.__main__.run()
