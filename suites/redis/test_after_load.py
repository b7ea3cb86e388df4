"""After the load, when everything that the release does by itself has begun: it takes no work from the live one."""

from verification.stores import queues


def test_takes_no_jobs(loaded, client, stores, before, limits, measure):
    """No more connections take from queues in Redis than before the release was brought up, but for `takers`."""
    assert (
        client.get("/health/redis").status_code == 200
    )  # without a connection of our own somebody has to be asked all the same
    name = "connections that take from queues, since the release was brought up"
    now = None if stores.redis is None else queues.takers(stores.redis)
    if now is None or before is None or before.takers is None:
        measure(name, f"not asked: {'no redis_url_secret' if stores.redis is None else 'CLIENT LIST is not allowed'}")
        return
    more, allowed = max(0, now[0] - before.takers), limits.get("takers", 0)
    measure(name, more, limit=allowed)
    assert more <= allowed, (
        f"connections that take from queues in Redis: {now[0]}, before the release was brought up {before.takers}, limit {allowed} "
        "more: under test it takes jobs that are live's to do (if live itself has grown meanwhile, deploy again)\n"
        "  again: redis-cli client list | grep -E 'cmd=(b?[lr]pop|b?lmove|b?zpop|xreadgroup)'"
    )
