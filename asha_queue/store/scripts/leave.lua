-- leave(workers, seen; worker) → 'ok'
--
-- KEYS[1]  hash of worker → what it says of itself
-- KEYS[2]  zset of workers by their last beat
-- ARGV[1]  the worker's name

redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 'ok'
