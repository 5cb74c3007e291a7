-- leave(alive, seen; name) → 'ok'
--
-- KEYS[1]  hash of worker, or coordinator → what it says of itself
-- KEYS[2]  zset of them by their last beat
-- ARGV[1]  its name

redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 'ok'
