"""The code of a Locust process. No other process imports it, because `import locust` patches sockets, threads and clocks."""
