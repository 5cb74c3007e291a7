"""Flower's page of queues, on a server that Sentinels watch.

Flower asks the first Sentinel alone, and looks into database 0 whatever the URL says. Here it asks
whichever answers, and looks where the messages are.
"""

from typing import Any

from flower.utils import broker

from asha_queue.sentinel import Sentinels


def install(url: str) -> None:
    """Has Flower find the queues of `url`, the URL of Sentinels."""
    broker.RedisSentinel = reader(Sentinels.of(url))


def reader(sentinels: Sentinels) -> type:
    """Flower's reader of queues, which knows all Sentinels and the database."""

    class Reader(broker.RedisSentinel):  # type: ignore[misc]  # Flower has no types
        def _get_redis_client(self, *options: Any) -> Any:
            client = super()._get_redis_client(*options)
            pool = client.connection_pool
            pool.connection_kwargs["db"] = sentinels.database
            asked = pool.sentinel_manager
            connect = type(asked.sentinels[0])
            asked.sentinels = [
                connect(host=host, port=port, **asked.sentinel_kwargs)
                for host, port in sentinels.hosts
            ]
            return client

    return Reader
