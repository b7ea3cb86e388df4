"""What runs inside a Locust process; nobody else imports it, since `import locust` patches sockets, threads and clocks."""
